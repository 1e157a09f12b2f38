/** Bounds of the event stream, unit last in the name. */
export const eventLimits = {
  /** How often is looked at what tells nothing by itself: so a fill tells of its progress twice a second at most. */
  lookEveryMs: 500,
  countersEveryMs: 2_000,
  /** How often the other nodes are asked what has happened there, while somebody listens. */
  askEveryMs: 1_000,
  /** A peer that has not asked for so long does not listen any more. */
  peerInterestMs: 10_000,
  /** For a peer that is late. */
  eventsKeptMax: 1_000,
  reasonsMax: 64,
  listenersMax: 64,
  /** A listener that has not read so much of what was written is dropped: about a minute of a busy cluster. */
  pendingBytesMax: 256 * 1024,
} as const;
