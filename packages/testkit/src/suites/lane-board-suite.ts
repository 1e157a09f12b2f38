import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { LaneBoard, LaneFacts, Pause } from "@pullring/core";

import { eventually } from "../assert.ts";

/** The boards of several nodes in one place that nobody else uses. */
export interface LaneBoardRig {
  /** A node that was not asked for before starts now. */
  of(node: string): LaneBoard;
  /** Moves the time of all nodes on, where it does not pass by itself. */
  advance(ms: number): Promise<void>;
  close(): Promise<void>;
}

export interface LaneBoardSuiteOptions {
  readonly name: string;
  readonly open: () => Promise<LaneBoardRig>;
}

export const sampleLane = (node: string, more: Partial<LaneFacts> = {}): LaneFacts => ({
  name: `ci@a@${node}`,
  upstream: "docker.io",
  account: "ci",
  egress: "a",
  node,
  budget: "docker.io source:203.0.113.10",
  source: "203.0.113.10",
  unmetered: false,
  benched: undefined,
  ...more,
});

const stepMs = 100;

/** What every LaneBoard keeps to. */
export function laneBoardSuite({ name, open }: LaneBoardSuiteOptions): void {
  const check = (promise: string, run: (rig: LaneBoardRig) => Promise<void>): void => {
    test(promise, async () => {
      const rig = await open();
      try {
        await run(rig);
      } finally {
        await rig.close();
      }
    });
  };

  describe(`lane board: ${name}`, () => {
    const soon = async (rig: LaneBoardRig, condition: () => boolean): Promise<void> =>
      void (await eventually(async () => {
        await rig.advance(stepMs);
        return condition();
      }));

    check("what a node tells of its lanes the others know, and nobody of his own", async (rig) => {
      const [one, two, three] = ["n1", "n2", "n3"].map((node) => rig.of(node)) as [LaneBoard, LaneBoard, LaneBoard];
      const anonymous = { account: undefined, name: "anonymous@a@n2", unmetered: true, benched: "login" };
      const told = [sampleLane("n2"), sampleLane("n2", anonymous)];
      one.publish([sampleLane("n1")]);
      two.publish(told);
      await soon(rig, () => three.others().length === 3 && one.others().length === 2 && two.others().length === 1);
      assert.deepEqual(one.others(), told);
      assert.deepEqual(two.others(), [sampleLane("n1")]);
    });

    check("what a node tells later goes before what it told first", async (rig) => {
      const [one, two] = ["n1", "n2"].map((node) => rig.of(node)) as [LaneBoard, LaneBoard];
      two.publish([sampleLane("n2"), sampleLane("n2", { egress: "b", name: "ci@b@n2" })]);
      await soon(rig, () => one.others().length === 2);
      two.publish([sampleLane("n2", { benched: "egress" })]);
      await soon(rig, () => one.others().length === 1);
      assert.deepEqual(one.others(), [sampleLane("n2", { benched: "egress" })]);
    });

    check("every node hears of a pause once, whoever began it too", async (rig) => {
      const heard = new Map<string, Pause[]>(["n1", "n2", "n3"].map((node) => [node, []]));
      const boards = new Map([...heard.keys()].map((node) => [node, rig.of(node)]));
      for (const [node, board] of boards) board.onPause((pause) => void heard.get(node)?.push(pause));
      boards.get("n2")?.pause({ key: "docker.io source:203.0.113.10", forSec: 60 });
      assert.equal(heard.get("n2")?.length, 1, "its own at once");
      await soon(rig, () => [...heard.values()].every((pauses) => pauses.length > 0));
      for (let step = 0; step < 5; step += 1) await rig.advance(stepMs);
      for (const [node, pauses] of heard) {
        assert.deepEqual(
          pauses.map(({ key }) => key),
          ["docker.io source:203.0.113.10"],
          node,
        );
        const [{ forSec } = { forSec: 0 }] = pauses;
        assert.ok(forSec > 50 && forSec <= 60, String(forSec));
      }
    });

    check("a node that comes later hears of a pause that still runs, and how long it will", async (rig) => {
      const one = rig.of("n1");
      one.pause({ key: "docker.io egress:a@n1", forSec: 30 });
      await rig.advance(stepMs);
      const heard: Pause[] = [];
      rig.of("n2").onPause((pause) => void heard.push(pause));
      await soon(rig, () => heard.length > 0);
      assert.equal(heard[0]?.key, "docker.io egress:a@n1");
      assert.ok((heard[0]?.forSec ?? 0) > 20 && (heard[0]?.forSec ?? 0) <= 30);
    });

    check("a longer pause of the same source is heard too, and who stops listening hears nothing", async (rig) => {
      const [one, two] = ["n1", "n2"].map((node) => rig.of(node)) as [LaneBoard, LaneBoard];
      const heard: Pause[] = [];
      const unheard: Pause[] = [];
      two.onPause((pause) => void heard.push(pause));
      two.onPause((pause) => void unheard.push(pause))();
      one.pause({ key: "k", forSec: 10 });
      await soon(rig, () => heard.length === 1);
      one.pause({ key: "k", forSec: 100 });
      await soon(rig, () => heard.length === 2);
      assert.equal(unheard.length, 0);
    });
  });
}
