/** Every bound of the ledger in one place, unit last in the name. */
export const limits = {
  /** Lines wait so long for others to be written with. */
  batchMs: 20,
  batchChars: 16 * 1024,
  /** What a disk that stands still can hold up; later lines are lost, and counted. */
  pendingCharsMax: 8 * 1024 * 1024,
  beatMs: 1_000,
  /** Links that are told once only. */
  linksRememberedMax: 50_000,
} as const;
