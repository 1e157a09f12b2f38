import type { Clock, LaneBoard, LaneFacts, NodeId, Pause } from "@pullring/core";

/** The boards of nodes in one process: what one tells, the others know at once. */
export interface LaneBoards {
  /** A node that was not there before hears of what still runs. */
  of(node: NodeId): LaneBoard;
  /** A node whose lanes nobody counts any more. */
  forget(node: NodeId): void;
}

export function laneBoards(clock: Pick<Clock, "monotonic">): LaneBoards {
  const lanes = new Map<NodeId, readonly LaneFacts[]>();
  const running = new Map<string, number>();
  const listeners = new Map<NodeId, Set<(pause: Pause) => void>>();

  function board(node: NodeId): LaneBoard {
    const own = listeners.get(node) ?? new Set();
    listeners.set(node, own);
    return {
      publish: (now) => void lanes.set(node, [...now]),
      others: () => [...lanes].flatMap(([of, theirs]) => (of === node ? [] : theirs)),
      pause(pause) {
        const endMs = clock.monotonic() + pause.forSec * 1000;
        if (endMs <= (running.get(pause.key) ?? 0)) return;
        running.set(pause.key, endMs);
        for (const hearing of listeners.values()) for (const hear of hearing) hear(pause);
      },
      onPause(hear) {
        own.add(hear);
        for (const [key, endMs] of running) {
          const leftMs = endMs - clock.monotonic();
          if (leftMs > 0) hear({ key, forSec: leftMs / 1000 });
        }
        return () => void own.delete(hear);
      },
    };
  }

  return { of: board, forget: (node) => void lanes.delete(node) };
}
