/** Bounds of the peer wire, unit last in the name. */
export const peerLimits = {
  /** A connection, and a free one of those that are kept. */
  dialMs: 500,
  queueMs: 2_000,
  /** From the request to the head: of a leaf, which has what it has, and of an owner, which may have to wait for upstream. */
  leafHeadMs: 2_000,
  ownerHeadMs: 30_000,
  /** A peer that is silent for so long, before the head and after it, is asked whether it lives, and has so long to say so. */
  quietHeadMs: 500,
  quietBodyMs: 2_000,
  helloMs: 2_000,
  /** A body without a byte: longer than an owner waits for upstream's next byte (10 s) before it asks again. */
  idleMs: 12_000,
  /** A deadline that has passed is looked at once more after this: answers may wait unread behind a stall of our own. */
  secondLookMs: 10,
  watchTickMs: 1_000,
  /** Those who hold a digest say so within this, or are left out. */
  holdersMs: 100,
  holdersMax: 32,
  /** To one peer. */
  smallConnectionsMax: 32,
  bulkConnectionsMax: 128,
  helloConnectionsMax: 2,
  keepAliveMs: 30_000,
  /** Peers whose connections are kept apart; beyond that the one that was not asked for longest goes. */
  peersMax: 512,
  headBytesMax: 16 * 1024,
  purgeBytesMax: 64 * 1024,
  jsonBytesMax: 64 * 1024,

  /** How far a request's time may be off the receiver's own, and the nonces remembered of one such span. */
  replayWindowMs: 30_000,
  noncesMax: 200_000,
  connectionsMax: 4_096,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  /** Longer than `keepAliveMs`: the side that closes first should be the one that asks. */
  serverKeepAliveMs: 65_000,
  connectionsCheckMs: 2_000,
} as const;
