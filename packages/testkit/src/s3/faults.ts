/** What goes wrong with a request. */
export type S3Fault =
  /** Answers with an S3 error. */
  | { readonly status: number; readonly code: string }
  /** Answers, but not at once. */
  | { readonly latencyMs: number }
  /** Reads the request and never answers. */
  | "silence"
  /** Resets the connection. */
  | "reset"
  /** Does what was asked, and loses the answer. */
  | "lost_answer"
  /** Sends so much of the body, then nothing, and keeps the connection. */
  | { readonly stallAfterBytes: number }
  /** Sends so much of the body and ends. */
  | { readonly cutAfterBytes: number }
  /** Sends a body of the right length with a bit turned. */
  | "corrupt";

export interface S3FaultRule {
  readonly fault: S3Fault;
  readonly method?: string;
  /** Of the key, with what stands behind the `?`. */
  readonly target?: RegExp;
  /** Requests it happens to; default all. */
  times?: number;
}

export interface S3Asked {
  readonly method: string;
  readonly target: string;
}

/** The first rule that fits, counted. */
export function faultFor(rules: readonly S3FaultRule[], { method, target }: S3Asked): S3Fault | undefined {
  const rule = rules.find(
    (each) =>
      (each.times ?? 1) > 0 &&
      (each.method ?? method) === method &&
      (each.target === undefined || each.target.test(target)),
  );
  if (rule?.times !== undefined) rule.times -= 1;
  return rule?.fault;
}
