/** Every bound of the check in one place, unit last in the name. */
export const limits = {
  /** Clocks of different nodes may differ by so much. */
  skewMs: 2_000,
  /** A node that came back is asked again by the others after so long: 3 s to join, 10 s for which its absence is remembered. */
  returnMs: 15_000,
  /** A manifest that came so shortly before its node was killed may not have reached the disk. */
  publishMs: 2_000,
  /** How much too early a request may seem to be, by the rounding of two times. */
  coolDownSlackMs: 50,
  /** What upstream is taken to ask for by a 429 without a time, with one that can't be read, and at most. */
  coolDownSec: 60,
  coolDownUnreadableSec: 1,
  coolDownSecMax: 6 * 3600,
  /** Endings of one blob that are compared with each other. */
  endingsPerDigestMax: 8,
  /** Violations that are told; the others are counted. */
  violationsToldMax: 1_000,
} as const;
