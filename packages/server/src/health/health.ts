/** What is told of this process' health. Upstream's is no part of it: a cache that can't reach upstream still serves. */
export interface Health {
  livez(): HealthAnswer;
  /** 503 while draining, so that a load balancer sends no more; degraded is still ready. */
  readyz(): HealthAnswer;
  /** From now on not ready; there is no way back. */
  drain(): void;
}

export interface HealthAnswer {
  readonly status: number;
  readonly word: "ok" | "degraded" | "draining";
  /** For the admin listener only. */
  readonly reasons: readonly string[];
}

export interface HealthOptions {
  /** Reasons why this node is less than it was set up to be; none is well. */
  readonly degradedBy: () => readonly string[];
}

export function makeHealth({ degradedBy }: HealthOptions): Health {
  let draining = false;
  return {
    livez: () => ({ status: 200, word: "ok", reasons: [] }),
    readyz() {
      if (draining) return { status: 503, word: "draining", reasons: [] };
      const reasons = degradedBy();
      return { status: 200, word: reasons.length > 0 ? "degraded" : "ok", reasons };
    },
    drain: () => void (draining = true),
  };
}
