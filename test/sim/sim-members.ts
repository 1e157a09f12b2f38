import { type Membership, openMembership } from "@pullring/cluster";
import { type Clock, type NodeId, PullringError } from "@pullring/core";
import { type BeatBoard, beatBoard } from "@pullring/testkit";

import type { SimProcess } from "./sim-process.ts";
import type { World } from "./world.ts";

/** Members that tell of themselves as in Redis, and see of each other what stands there. */
export interface SimMembers {
  readonly board: BeatBoard;
  /** Resolves when the node is in its own ring. `clock` is the process' own. */
  open(node: NodeId, process: SimProcess, clock: Clock): Promise<Membership>;
}

const silent = { info: () => {}, warn: () => {}, error: () => {} };

export function makeSimMembers(world: World): SimMembers {
  const board = beatBoard(world.clock);
  const processes = new Map<string, SimProcess>();
  const latest = new Map<NodeId, SimProcess>();
  const rings = new Map<NodeId, unknown>();
  let starts = 0;
  return {
    board,
    async open(node, process, clock) {
      starts += 1;
      const incarnation = `${node}-start-${starts}`;
      processes.set(incarnation, process);
      latest.set(node, process);
      const beats = board.of(node);
      const membership = await openMembership({
        self: { id: node, url: `http://${node}:5002`, ringName: `${node}:5000`, weight: 1, incarnation, version: "1" },
        source: {
          beats: {
            exchange: (order) =>
              process.run(async () => {
                await world.hop();
                return beats.exchange(order);
              }),
            onHint: (listener) => beats.onHint(() => void process.running().then(listener)),
          },
        },
        clock,
        random: () => world.random.next(),
        log: silent,
        lastRing: {
          load: () => Promise.resolve(rings.get(node)),
          save: (ring) => process.run(() => void rings.set(node, structuredClone(ring))),
        },
        answers: async (_url, asked) => {
          await world.hop();
          const other = processes.get(asked);
          return other !== undefined && other.isAlive && !other.isHung;
        },
        async greet(_url, asked) {
          await world.hop();
          const other = latest.get(asked);
          const isSevered = world.severed.has(`${node}>${asked}`);
          if (!other?.isAlive || other.isHung || isSevered)
            throw new PullringError("unreachable", `${asked} does not answer`);
        },
        mayDial: () => true,
      });
      await membership.activate();
      return membership;
    },
  };
}
