/** Every bound of the S3 tier in one place, unit last in the name. */
export const limits = {
  connectMs: 1_000,
  /** From the request to the head of its answer, credentials included. */
  firstByteMs: 2_000,
  /** For requests that write or list: they may wait behind a body of ours or walk an index. */
  answerMs: 10_000,
  /** A body, ours or theirs, may stand still so long. */
  stallMs: 10_000,
  /** A service may take its time to put parts together. */
  completeMs: 120_000,
  /** Links and tags on the way to an answer. */
  recordReadMs: 500,
  /** At the end uploads in parts are given up in so long, else the janitor finds them. */
  closeMs: 2_000,
  socketsMax: 128,
  /** Failures in a row that open the breaker; silence opens it at once. A probe goes out this often while it is open. */
  failuresMax: 3,
  probeEveryMs: 1_000,
  /** Retries may be this share of the requests, and so many a second beside (as Finagle's budget). */
  retryShare: 0.2,
  retriesPerSec: 10,
  retriesSavedMax: 100,
  /** Full jitter below base · 2^attempt, at most the second. */
  retryPauseMs: 100,
  retryPauseMsMax: 5_000,
  readAttemptsMax: 2,
  /** More than a busy server or a conflict takes; what fails for longer is dropped and fetched again by whoever asks. */
  writeAttemptsMax: 6,
  /** Times that somebody else stores the same blob meanwhile. */
  conflictsMax: 3,
  /** Above this in parts. S3 takes 10,000 parts; memory stays that of three streams. */
  singlePutBytesMax: 64 * 1024 * 1024,
  partBytesMin: 16 * 1024 * 1024,
  partBytesMax: 64 * 1024 * 1024,
  partsMax: 10_000,
  /** Bodies on their way up at once, of all uploads together. */
  sendingMax: 3,
  uploadsAtOnceMax: 3,
  sendStepBytes: 256 * 1024,
  /** Blobs that wait for their upload. */
  uploadsQueuedMax: 1_000,
  uploadBytesQueuedMax: 64 * 1024 ** 3,
  /** Records and tombstones that wait to be written; the oldest go first. */
  recordsQueuedMax: 20_000,
  recordsWritingMax: 8,
  recordBytesMax: 16 * 1024 * 1024,
  /** An unchanged tag is written again after this. */
  tagRewriteMs: 3_600_000,
  /** Links known to be there, and tags by when they were written. */
  writtenRememberedMax: 50_000,
  absentMs: 10_000,
  absentRememberedMax: 20_000,
  /** From this age on a local tag or list is compared with the shared one, once in the second. */
  sharedLookFromMs: 300_000,
  sharedLookEveryMs: 60_000,
  /** S3's clock and ours may be so far apart: what was written so shortly after a purge goes with it. */
  clockSkewMs: 60_000,
  /** Objects that a purge removes at once. */
  removingMax: 16,
  quarantineMs: 600_000,
  quarantinedMax: 10_000,
  tombstoneMs: 7 * 86_400_000,
  tombstonesMax: 100_000,
  tombstonesReadEveryMs: 60_000,
  canaryBytes: 300_000,
  canaryRetryMs: 5_000,
  canaryRetryMsMax: 60_000,
  /** What a crash left: multipart uploads without a new part, the canary's objects. */
  abandonedMs: 3_600_000,
  sweepEveryMs: 3_600_000,
  dayMs: 86_400_000,
  expireEveryMs: 86_400_000,
  /** Digests in use that are noted until the next note is written. */
  usedNotedMax: 100_000,
  usedNoteEveryMs: 3_600_000,
  /** Digests that one sweep can remember as in use or named; with more it removes nothing. */
  keptMax: 4_000_000,
  sweepConcurrency: 8,
  manifestBytesMax: 4 * 1024 * 1024,
  /** Indexes within indexes. */
  manifestDepthMax: 4,
  removedPerMark: 500,
  listKeptMs: 7 * 86_400_000,
} as const;
