/** Every bound of the cache in one place, unit last in the name. */
export const limits = {
  /** Fills that run at once, in this process and for one client address; then a queue; then `busy`. */
  fillsMax: 64,
  fillsPerClientMax: 16,
  fillQueueMax: 256,
  /** As Distribution, containers/image and oras; containerd takes 4,393,216 B. */
  manifestBytesMax: 4 * 1024 * 1024,
  /** Bodies up to this are verified before the status line; longer ones hold back their tail. */
  verifyFirstBytesMax: 256 * 1024,
  tailBytes: 64 * 1024,
  /**
   * Readers of a fill are woken by so many new bytes or after such a pause, since a wake-up costs every reader a system call; where
   * many wait, both grow by this share for each of them, up to the bound.
   */
  wakeBytes: 512 * 1024,
  wakePauseMs: 2,
  wakeGrowthPerReader: 0.1,
  wakeGrowthMax: 8,
  /** A fill nobody reads goes on when less than this is left. */
  fillRestBytesMax: 64 * 1024 * 1024,
  fillIdleMs: 30_000,
  /** How long the spool of a fill that stopped or broke is kept for the next one to go on from. */
  spoolKeptMs: 600_000,
  spoolsKeptMax: 16,
  /** For this long after a body was cut, a resume of it gets an error status. */
  cutRememberedMs: 10_000,
  /** For this long a source that sent wrong bytes for a digest is not asked for it again. */
  quarantineMs: 60_000,
  /** Attempts in a row to go on with a cut body that brought less than this. */
  resumesWithoutProgressMax: 3,
  resumeProgressBytesMin: 1024 * 1024,
  resumePauseMs: 200,
  /** A range further away than this in time is asked for directly, at most so many bytes at a time. */
  rangeWaitMs: 5_000,
  /** No rate is believed before a fill has run so long. */
  rateSampleMs: 250,
  directRangeBytesMax: 16 * 1024 * 1024,
  /** How long "not there" is remembered; never for 401, 429 and 5xx. */
  negativeMs: 10_000,
  negativesMax: 10_000,
  /** Asking upstream about a tag: with a record to fall back on, and without. */
  freshnessCheckMs: 2_000,
  coldCheckMs: 10_000,
  /** Asking the tag's owner, with a record to fall back on: the owner's own check, and the way to it. */
  ownerCheckMs: 2_500,
  /** What other nodes have written down of a tag that nobody else can tell of is waited for so long. */
  askAroundMs: 250,
  /** How long a HEAD's answer is worth a GET by digest, at most (its own window is usually shorter). */
  seenMs: 60_000,
  /** How long an upstream that refused HEAD, or named no digest, is asked by GET only. */
  headRefusedMs: 600_000,
  /** Nodes that are asked to act as the owner before this one does: the owner and the one after it. */
  ownersAskedMax: 2,
  /** Peers that are asked whether they hold a digest. */
  holdersAskedMax: 32,
  /** How a waiter looks after the lease that another holds: ever less often, and for how long it may stand still. */
  leasePollMinMs: 250,
  leasePollMaxMs: 2_000,
  holderStuckMs: 10_000,
  /** A holder that refuses twice within this is gone. */
  refusalsWithinMs: 1_000,
  /** From so many forwards within this time on a digest of another owner is kept. */
  hotForwardsMin: 3,
  hotMs: 60_000,
  /** What is longer passes through memory where it is not to be kept; shorter ones stay whole for who joins. */
  passBytesMin: 4 * 1024 * 1024,
  /** How long the spool of a fill that peers or S3 fed is kept after it broke. */
  peerSpoolKeptMs: 30_000,
  /** Fills for peers at once: apart from the clients' fills, which may be waiting for just these. */
  peerFillsMax: 256,
  peerFillsPerNodeMax: 64,
  /** How long a leaf may wait for the head of a fill, or for a small body as a whole: clearly less than its peer waits for an answer. */
  leafOpenMs: 1_000,
  /** When the owner of a tag looks whether the digest that it told a peer is held by now. */
  tagHeldCheckMs: 5_000,
  tombstoneMs: 7 * 86_400_000,
  /** By then all nodes that are up have heard of a purge: who was not reached reads of it in Redis, once a minute. */
  purgeSpreadMs: 75_000,
  tombstonesMax: 100_000,
  /** Background checks: of tags asked for so often in a window of at least this, at this part of it before its end, so many at once. */
  hotTagAsksMin: 2,
  hotTagsMax: 1_000,
  refreshWindowMsMin: 2_000,
  refreshLeadMin: 0.05,
  refreshLeadMax: 0.15,
  refreshesMax: 4,
  /** Tags of one list, over all its upstream pages. */
  listPagesMax: 100,
} as const;

/** Of budgets at upstreams, and of what anybody may tell of them. */
export const budgetLimits = {
  /** A request in flight for so long is counted as answered. */
  flightMs: 60_000,
  /** Answers that are remembered so that older ones can be put in order. */
  heardMax: 32,
  /** What was known of the counters when: so often, and so many times. */
  marksEveryMs: 20,
  marksMax: 1_024,
  flightsMax: 1_024,
  budgetsMax: 1_024,
  keyLengthMax: 256,
  /** Nodes, each start of one apart, that have spent of one budget. */
  spendersMax: 256,
  limitMax: 1_000_000_000,
  windowSecMax: 32 * 86_400,
  /** How long a digest is known to be what a tag with priority points at: clients may come for it long after they asked for the tag. */
  priorMs: 3_600_000,
  priorsMax: 10_000,
} as const;
