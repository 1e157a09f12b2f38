/** Bounds of the listeners, unit last in the name. */
export const serverLimits = {
  /** podman's 1,024 ranges are 22.5 KB of header; Node's own default is 16 KiB. */
  headBytesMax: 64 * 1024,
  /** From the first byte of a request to the end of its head. */
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  /** Longer than the 60 s that load balancers keep idle connections: the side that closes first should be theirs. */
  keepAliveTimeoutMs: 65_000,
  /** Connections that wait to be accepted: a crowd that comes while this process is busy must not be turned away. The kernel may cap it. */
  backlogMax: 4_096,
  connectionsCheckMs: 5_000,
  drainMs: 120_000,
} as const;
