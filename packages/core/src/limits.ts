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
  /** A fill nobody reads goes on when less than this is left. */
  fillRestBytesMax: 64 * 1024 * 1024,
  fillIdleMs: 30_000,
  /** How long the spool of a fill that stopped or broke is kept for the next one to go on from. */
  spoolKeptMs: 600_000,
  /** For this long after a body was cut, a resume of it gets an error status. */
  cutRememberedMs: 10_000,
  /** For this long a source that sent wrong bytes for a digest is not asked for it again. */
  quarantineMs: 60_000,
  /** Attempts to go on with a cut body that brought no new byte. */
  resumesWithoutProgressMax: 3,
  resumePauseMs: 200,
  /** A range further away than this in time is asked for directly, at most so many bytes at a time. */
  rangeWaitMs: 5_000,
  directRangeBytesMax: 16 * 1024 * 1024,
  /** How long "not there" is remembered; never for 401, 429 and 5xx. */
  negativeMs: 10_000,
  negativesMax: 10_000,
  freshnessCheckMs: 2_000,
  /** Tags of one list, over all its upstream pages. */
  listPagesMax: 100,
} as const;
