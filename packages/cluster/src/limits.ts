/** Bounds of the peer wire, unit last in the name. */
export const peerLimits = {
  /** A connection, and a free one of those that are kept. */
  dialMs: 500,
  queueMs: 2_000,
  /** From the request to the head: of a leaf, which has what it has, and of an owner, which may have to wait for upstream. */
  leafHeadMs: 2_000,
  ownerHeadMs: 30_000,
  /**
   * A peer that is silent for so long, before the head and after it, is asked whether it lives, has so long to say so, and is asked
   * again after a pause.
   */
  quietHeadMs: 500,
  quietBodyMs: 2_000,
  helloMs: 2_000,
  helloPauseMs: 1_000,
  /** A body without a byte: longer than an owner waits for upstream's next byte (10 s) before it asks again. */
  idleMs: 12_000,
  /** A deadline that has passed is looked at once more after this: answers may wait unread behind a stall of our own. */
  secondLookMs: 10,
  /** How often an exchange under way is looked at, at least: what moves does not wake its watch. */
  watchTickMs: 250,
  /** Those who hold a digest say so within this, or are left out: a busy node must not cost a fetch that it could have saved. */
  holdersMs: 500,
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
  fillsBytesMax: 1024 * 1024,

  /** How far a request's time may be off the receiver's own, and the nonces remembered of one such span. */
  replayWindowMs: 30_000,
  noncesMax: 200_000,
  connectionsMax: 4_096,
  /** Those that wait to be accepted while this process is busy. The kernel may cap it. */
  backlogMax: 4_096,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 10_000,
  /** Longer than `keepAliveMs`: the side that closes first should be the one that asks. */
  serverKeepAliveMs: 65_000,
  connectionsCheckMs: 2_000,
} as const;

/** Bounds of membership, by the time that nodes have to see a change: 3 s for who comes or goes, 12 s for who crashed. */
export const membershipLimits = {
  /** At most; jitter makes it shorter. */
  beatMs: 2_000,
  expiryMs: 10_000,
  /** Readings further apart than this (a stall of this process, say) are no unbroken row. */
  readingGapMs: 6_000,
  /** What did not beat for so long is cleared away; until then it shows how long ago it did. */
  retentionMs: 60_000,
  /** Nobody beat for so long: Redis forgets the whole set. */
  forgetMs: 7 * 24 * 3_600_000,
  dampingMs: 10_000,
  membersMax: 256,
  rowsReadMax: 320,
  /** A start waits so long for Redis before it takes the ring from disk. */
  startPatienceMs: 1_000,
  startRetryMs: 100,
  /** Whether the process before this one still answers. */
  answersMs: 2_500,
  /** After a hint, so that not all read in the same moment, and a flood of hints is one reading. */
  hintDelayMaxMs: 200,
  wipeToldMs: 60_000,
  warningsMax: 64,

  refusalsToBench: 2,
  /** Refused connections further apart than this are accidents. */
  refusalsApartMs: 5_000,
  /** How often a benched peer is asked whether it is back: the cluster is itself again well within 5 s. */
  askAgainMs: 1_000,
  epochsWindowMs: 60_000,
  epochsMax: 64,
} as const;

/** Bounds of Redis, so that one that is gone, hung or slow costs a miss little and a hit nothing. */
export const redisLimits = {
  /** A script, with everything that has to be waited for. */
  commandMs: 250,
  connectMs: 500,
  /** From the first SYN, by way of Sentinels that may hang, to the answer that shows that Redis can be used. */
  attemptMs: 2_000,
  /** A connection that owes an answer and is silent for so long is dead. */
  silentSocketMs: 500,
  disconnectMs: 100,
  retryMinMs: 50,
  retryMaxMs: 500,
  /** A connection that stood for so long is replaced at once when it ends. */
  steadyMs: 1_000,
  breakerFailures: 3,
  breakerWindowMs: 1_000,
  probeMs: 1_000,
  /** Over idle connections, which else nobody would find dead. */
  pingMs: 2_000,
  /** How long a refusal shows in `state()`. */
  refusalShownMs: 5_000,
  /** Between two lines of the log that say the same. */
  sayAgainMs: 600_000,
  redirectionsMax: 4,
  redirectionDelayMs: 50,
  slotsRefreshMs: 2_000,
} as const;

export const leaseLimits = {
  ttlMs: 15_000,
  renewMs: 5_000,
  /** Part of `renewMs` by which a renewal comes earlier or later. */
  renewJitter: 0.1,
  renewRetryMs: 1_000,
  /** The count of attempts is for logs only; nothing needs it to last. */
  fenceTtlMs: 24 * 3_600_000,
  /** Leases that may be ours without anybody's use for them, after answers that were lost. */
  strayMax: 1_024,
  strayRoundMs: 1_000,
  straysPerRound: 32,
} as const;

/** Word of purges in Redis. */
export const purgeLimits = {
  retentionMs: 7 * 86_400_000,
  rowsMax: 10_000,
  readEveryMs: 60_000,
  /** While Redis does not answer. */
  retryMs: 2_000,
  /** Redis' clock may have been set back by so much since a purge; what lies further ahead is none. */
  aheadMsMax: 60_000,
} as const;

/** What nodes tell each other of their lanes. */
export const laneLimits = {
  /** At most; jitter makes it shorter. */
  beatMs: 2_000,
  /** A node that has not told its lanes for so long has none. */
  expiryMs: 10_000,
  /** While Redis is away, what the others told last counts for so long. */
  rememberedMs: 30_000,
  /** After word of a change, so that not all read in the same moment, and a flood of such words is one reading. */
  hintDelayMaxMs: 200,
  /** Of one node. */
  lanesMax: 64,
  documentBytesMax: 32 * 1024,
  /** Of what one reading brings. */
  nodesMax: 256,
  readBytesMax: 2 * 1024 * 1024,
  pausesMax: 256,
  /** Longer ones are asked for again, or are a stranger's. Docker Hub's own are of a minute. */
  pauseMsMax: 6 * 3_600_000,
  /** A pause that ends so little later than one that was told of is the same: it was told twice. */
  samePauseMs: 1_000,
} as const;

/** Counters of budgets in Redis. */
export const countersLimits = {
  /** How often a node that has spent reads what is left, so that it knows its part when Redis goes away. */
  beatMs: 1_000,
  /** After a wipe nothing is given for so long, unless all nodes have told what they know before: two beats and a command. */
  gatherMs: 2_500,
  gatherPollMs: 100,
  /** What waits to be done is done together. */
  batchMax: 256,
  /** Each try that another node comes before. */
  triesMax: 100,
  /** What was settled while Redis was away. */
  owedMax: 1_024,
  /** Longer than any window. */
  keptMs: 33 * 86_400_000,
  documentBytesMax: 4 * 1024 * 1024,
  upstreamLengthMax: 256,
  nodesMax: 256,
} as const;
