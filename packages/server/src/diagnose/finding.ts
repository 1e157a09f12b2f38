/** What one check found. `fail` keeps pulls from working, or will; `warn` is for somebody to judge. */
export interface Finding {
  readonly status: "ok" | "warn" | "fail";
  /** For people; holds no secret. */
  readonly found: string;
  /** What to do about it. */
  readonly advice?: string;
}

/** One question about the set-up. It changes nothing that lasts. */
export interface Check {
  readonly name: string;
  /** Must end before others begin: for a moment it does what they would take for a fault. */
  readonly isFirst?: boolean;
  /** A rejection counts as `fail`. */
  run(): Promise<Finding>;
}

export const ok = (found: string): Finding => ({ status: "ok", found });
export const warn = (found: string, advice: string): Finding => ({ status: "warn", found, advice });
export const fail = (found: string, advice: string): Finding => ({ status: "fail", found, advice });

/** The system's code where there is one: its messages repeat addresses. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const of = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
  if (of instanceof Error && "code" in of && typeof of.code === "string") return of.code;
  return of instanceof Error && of.message !== "" ? of.message : error.name;
}
