import type { Digest } from "@pullring/oci";

import type { StaleReason } from "./errors.ts";

/** What the cache tells the process, for metrics and the log. */
export type CacheEvent =
  | { readonly kind: "stale"; readonly reason: StaleReason }
  | {
      readonly kind: "mismatch";
      readonly source: "upstream";
      readonly upstream: string;
      readonly digest: Digest;
      readonly detail: string;
    }
  | {
      readonly kind: "fill_ended";
      readonly digest: Digest;
      readonly state: "done" | "failed" | "stopped";
      readonly bytes: number;
      readonly kept: boolean;
      readonly error?: unknown;
    };

export type Observe = (event: CacheEvent) => void;
