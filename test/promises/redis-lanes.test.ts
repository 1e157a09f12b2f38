import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, suite, test } from "node:test";

import { openLaneBoard, openRedis, redisBoard, type FollowedBoard, type Redis } from "@pullring/cluster";
import { eventually, laneBoardSuite, sampleLane } from "@pullring/testkit";

import { systemClock, systemRandom } from "../../packages/server/src/clock.ts";
import { needsRedis, type RedisServer, startRedis } from "../real/redis.ts";

const silent = { info: () => {}, warn: () => {} };

suite("lanes and pauses in Redis", { skip: needsRedis() }, () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());

  interface Rig {
    readonly prefix: string;
    readonly of: (node: string) => FollowedBoard;
    readonly redises: readonly Redis[];
    readonly close: () => Promise<void>;
  }

  function openRig(): Rig {
    const prefix = randomUUID();
    const boards = new Map<string, FollowedBoard>();
    const redises: Redis[] = [];
    return {
      prefix,
      redises,
      of(self) {
        const known = boards.get(self);
        if (known) return known;
        const redis = openRedis({ url: server.url, prefix, log: silent, clock: systemClock, random: systemRandom });
        redises.push(redis);
        const store = redisBoard(redis);
        const board = openLaneBoard({ store, self, isMember: () => true, clock: systemClock, random: systemRandom });
        boards.set(self, board);
        board.follow();
        return board;
      },
      async close() {
        await Promise.all([...boards.values()].map((board) => board.close()));
        await Promise.all(redises.map((redis) => redis.close()));
      },
    };
  }

  laneBoardSuite({
    name: "redis-server",
    open: () => {
      const { of, close } = openRig();
      return Promise.resolve({ of, close, advance: () => Promise.resolve() });
    },
  });

  test("who stops is forgotten at once, and a pause stands where its beginner does not", async () => {
    const rig = openRig();
    try {
      const one = rig.of("n1");
      const two = rig.of("n2");
      two.publish([sampleLane("n2")]);
      await eventually(() => one.others().length === 1);
      two.pause({ key: "docker.io source:203.0.113.10", forSec: 60 });
      const store = redisBoard(rig.redises[0]!);
      const ask = () => store.exchange({ node: "n3", document: "[]", isNews: false, pauses: [] });
      await eventually(async () => JSON.stringify(await ask()).includes("203.0.113.10"));
      await two.close();
      await eventually(() => one.others().every(({ node }) => node !== "n2"));
      const [documents, pauses] = (await ask()) as [string[], string[]];
      assert.deepEqual(documents, ["n1", "[]"]);
      const [key, leftMs] = pauses;
      assert.equal(key, "docker.io source:203.0.113.10");
      assert.ok(Number(leftMs) > 50_000 && Number(leftMs) <= 60_000, leftMs);
    } finally {
      await rig.close();
    }
  });

  test("no pause in Redis is longer than any that a node would begin", async () => {
    const rig = openRig();
    try {
      rig.of("n1");
      const redis = rig.redises[0]!;
      const store = redisBoard(redis);
      const order = { node: "n2", document: "", isNews: false };
      await eventually(() => redis.state().up);
      await store.exchange({ ...order, pauses: [{ key: "k", leftMs: 1e12 }] });
      assert.deepEqual(await store.exchange({ ...order, pauses: [] }), [["n1", "[]"], []]);
    } finally {
      await rig.close();
    }
  });
});
