const minuteMs = 60_000;

/** Every bound of the way upstream, unit last in the name. */
export const limits = {
  redirectsMax: 5,
  /** Short, so that with upstream gone a pull that is not cached fails within 2 s. */
  connectMs: 1_500,
  /** Through a proxy, which connects too; and what it may say before that. */
  tunnelMs: 4_000,
  tunnelHeadBytesMax: 16 * 1024,
  /** From the request on the wire to its head. */
  headMs: 10_000,
  /** For a free connection; clients wait 30 s for a head (containerd 2.3). */
  queueMs: 25_000,
  /** A body without a byte for this long, or below the rate over the window, is cut. */
  idleMs: 10_000,
  rateBytesPerSecMin: 10 * 1024,
  rateWindowMs: 30_000,
  /** How often a request under way is looked at, at least. */
  watchTickMs: 1_000,
  headBytesMax: 64 * 1024,
  keepAliveMs: 30_000,
  /** Of `connectionsMax`, for what must not wait behind blobs: tokens, manifests, lists. */
  smallConnectionsMax: 8,
  /** A body that nobody wants is read to its end up to this size, to keep the connection. */
  discardBytesMax: 64 * 1024,
  errorBytesMax: 64 * 1024,
  tokenBytesMax: 1024 * 1024,
  /** A page of tags, and a whole referrers index. */
  listBytesMax: 4 * 1024 * 1024,
  listQueryMax: 4096,

  /** After a reset or a 5xx, pauses double and have jitter. */
  retriesMax: 2,
  retryPauseMs: 100,
  /** Lanes that may send something for one request: the first and one other. */
  lanesPerRequestMax: 2,
  /** How long a lane that saw what others could not is asked first. */
  seenByMs: 10 * minuteMs,
  /** How long an upstream whose HEAD of a blob told no size is asked by a range of one byte. */
  headTellsNothingMs: 10 * minuteMs,
  memoriesMax: 10_000,

  /** Fail fast after a failed connection: doubles per failure in a row. */
  breakerMs: 1_000,
  breakerMsMax: 10_000,
  /** Answers in a row that did not come in time before that counts as a failed connection. */
  breakerTimeoutsMin: 3,
  breakersMax: 1_000,

  /** Without Retry-After, with one that can't be read (ghcr.io sends Go durations), and at most. */
  coolDownSec: 60,
  coolDownUnreadableSec: 1,
  coolDownSecMax: 6 * 3600,
  /** A parse error counts as the abuse answer when so many requests went out within the last minute. */
  burstRequestsMin: 60,

  /** An account whose login fails, doubling. Docker Hub locks a username for 10 minutes after failed logins. */
  benchMs: 30_000,
  benchMsMax: 10 * minuteMs,
  /** What ends within this of a pause that is known is that pause, told again. */
  samePauseMs: 2_000,
  /** Tokens: assumed and least life (distribution token spec), share of it that is used, and how early at least. */
  tokenLifeSecMin: 60,
  tokenLifeShare: 0.8,
  tokenEarlyMs: 10_000,
  tokensMax: 2_000,
  /** After a token server has failed three times. */
  tokenPauseSec: 1,

  /** DNS: lookups at once (they share libuv's four threads with the disk), how long the last good answer serves. */
  lookupsMax: 2,
  lookupPatienceMs: 700,
  addressKeptMs: 5 * minuteMs,
  addressesMax: 1_000,
} as const;
