/** What the tier tells the process, for metrics. Records are not counted. */
export type S3Event =
  | {
      readonly kind: "upload";
      /** `present`: it was there already. `dropped`: the queue was full, or the process ended. */
      readonly outcome: "ok" | "present" | "failed" | "dropped";
    }
  | {
      readonly kind: "read";
      /** `mismatch` is told beside the read's own outcome, which came first. */
      readonly outcome: "ok" | "miss" | "failed" | "mismatch";
    };

export type ObserveS3 = (event: S3Event) => void;
