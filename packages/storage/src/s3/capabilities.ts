/** Whether the service keeps to a condition, takes it and stores anyway, or refuses the request that carries it. */
export type Condition = "honoured" | "ignored" | "refused";

/** What the endpoint was seen to do. */
export interface Capabilities {
  readonly ranges: boolean;
  readonly conditionalPut: Condition;
  readonly multipart: boolean;
  readonly conditionalComplete: Condition;
}
