/** Bounds of what waits for the trace collector. */
export const tracingLimits = {
  /** Ended spans that are not sent yet: about 2 KiB each. What is more is lost, and counted. */
  spansMax: 4_096,
  batchMax: 512,
  /** How long a span waits for others to be sent with. */
  batchMs: 1_000,
  /** One batch, its repetitions included. */
  exportMs: 5_000,
  exportsMax: 16,
  /** When the process ends. */
  closeMs: 3_000,
  /** How often it is said that spans were lost. */
  toldMs: 60_000,
} as const;
