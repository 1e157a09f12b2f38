/** How quota is watched: by what all nodes know, so that each can tell how long it lasts. */
export const quotaLimits = {
  sampleMs: 10_000,
  /** A forecast is by what was spent within this time, and never by less than this much of it. */
  historyMs: 15 * 60_000,
  historyMsMin: 60_000,
  /** Budgets that are remembered; there are as many as accounts and addresses. */
  budgetsMax: 1_000,
  /** Parts of a budget at which a line is written; the last one is a warning. */
  levels: [0.5, 0.2, 0.05],
  /** A budget that has filled up by so much above a level is told of again when it falls below that. */
  refilled: 0.1,
} as const;
