import type { Digest } from "@pullring/oci";

import type { StaleReason } from "./errors.ts";
import type { Repository } from "./ports.ts";

/** What the cache tells the process, for metrics and the log. */
export type CacheEvent =
  | { readonly kind: "stale"; readonly reason: StaleReason }
  /** A peer joined a fill or a flight that ran here already. */
  | { readonly kind: "joined"; readonly where: "peer" }
  | {
      readonly kind: "mismatch";
      readonly source: "peer" | "s3" | "upstream";
      /** `peer:<node>`, `s3` or `upstream:<name>`. */
      readonly from: string;
      readonly upstream: string;
      readonly digest: Digest;
      readonly detail: string;
    }
  | {
      readonly kind: "fill_ended";
      readonly digest: Digest;
      /** `passed`: it came whole and is not to stay, since another node keeps it. */
      readonly state: "done" | "passed" | "failed" | "stopped";
      readonly bytes: number;
      readonly kept: boolean;
      readonly error?: unknown;
    };

export type Observe = (event: CacheEvent) => void;

/**
 * Goes around a fill, from its start until what became of its bytes is settled: for who follows what is done for whom. Calls `run` at
 * once, and settles as it does.
 */
export type AroundFill = (
  fill: { readonly digest: Digest; readonly repository: Repository },
  run: () => Promise<void>,
) => Promise<void>;
