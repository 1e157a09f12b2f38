/** Every bound of the package in one place, unit last in the name. */
export const limits = {
  /** What one write takes at most; so much is gathered while the write before it runs. */
  batchBytesMax: 2 * 1024 * 1024,
  /** Memory that bodies gather in on their way to the disk; below the second they get as much as they need. */
  slabBytes: 512 * 1024,
  slabFromBytes: 256 * 1024,
  slabsKeptMax: 32,
  /** The writer is held back above the first and goes on below the second. */
  pendingBytesMax: 4 * 1024 * 1024,
  pendingBytesLow: 2 * 1024 * 1024,
  /** Without a disk: what is kept in memory for the slowest reader, and how long one that stands still may hold up the others. */
  windowBytesMax: 8 * 1024 * 1024,
  readerPatienceMs: 10_000,
  /**
   * Bytes that only pass: what is kept in memory for the one reader and the hash thread, how little they may have before them when the
   * writer goes on, and how long after it was first held back it may be so again before the rest goes by the disk.
   */
  passedBytesMax: 4 * 1024 * 1024,
  passedBytesLow: 2 * 1024 * 1024,
  passMs: 5_000,
  /** One segment of a growing file; so a slow reader is seen to move. */
  segmentBytesMax: 4 * 1024 * 1024,
  /** Up to this a body is hashed on the main thread: 0.2 ms, less than asking another thread. */
  mainHashBytesMax: 256 * 1024,
  hashThreadsMax: 2,
  /** A hash thread hears of a body's growth in steps of this; what is left is told at the end. */
  hashStepBytes: 1024 * 1024,
  /** Bytes on their way to a hash thread, where there is no file to follow. */
  hashPushedBytesMax: 4 * 1024 * 1024,
  /** Read whole at most: manifests. */
  readBytesMax: 4 * 1024 * 1024,
  /** Files that stay open after their last reader. */
  openFilesMax: 128,
  /** How often the use of a blob is written down. */
  touchIntervalMs: 3_600_000,
  /** Eviction frees this share of the disk at once, but not more than so many bytes, so that it does not run at every write. */
  evictShare: 0.05,
  evictBytesMax: 1024 * 1024 * 1024,
  /** `stat` calls in flight while the index is rebuilt. */
  scanConcurrency: 64,
  /** Blobs at rest are hashed again when this old, at 16 MiB/s; what is due is looked for this often. */
  scrubAgeMs: 7 * 86_400_000,
  scrubPauseMs: 60_000,
  scrubStepBytes: 4 * 1024 * 1024,
  scrubStepMs: 250,
  /** Parsed records in memory, known absences included. */
  recordsCachedMax: 50_000,
  recordBytesCachedMax: 32 * 1024 * 1024,
  /** Lists of one repository; clients choose their page sizes, so they are the one kind that clients could multiply. */
  listsPerRepositoryMax: 128,
} as const;
