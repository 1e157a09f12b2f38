/** The part of a pino logger that this package uses. */
export interface Log {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
}
