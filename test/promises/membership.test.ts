import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, suite, test, type TestContext } from "node:test";

import { type BeatStore, type Membership, openMembership, openRedis, redisBeats } from "@pullring/cluster";
import { beatBoard, eventually, virtualClock } from "@pullring/testkit";

import { systemClock, systemRandom } from "../../packages/server/src/clock.ts";
import { needsRedis, type RedisServer, startRedis } from "../real/redis.ts";

const silent = { info: () => {}, warn: () => {}, error: () => {} };
const digest = `sha256:${"c".repeat(64)}`;

interface Node {
  readonly membership: Membership;
  readonly answering: Set<string>;
  stop(how: "leave" | "crash"): Promise<void>;
}

/** Each node has connections of its own; `prefix` keeps tests apart on one server. */
function nodesOn(server: RedisServer, t: TestContext): (id: string, prefix?: string) => Promise<Node> {
  const ends: (() => Promise<void>)[] = [];
  t.after(() => Promise.all(ends.map((end) => end())));
  const own = randomUUID();
  return async (id, prefix = own) => {
    const [clock, random] = [systemClock, systemRandom];
    const redis = openRedis({ url: server.url, prefix, log: silent, clock, random });
    ends.push(() => redis.close());
    const answering = new Set<string>();
    const membership = await openMembership({
      self: {
        id,
        url: `http://${id}:5002`,
        ringName: `${id}:5000`,
        weight: 1,
        incarnation: randomUUID(),
        version: "1",
      },
      source: { beats: redisBeats(redis) },
      clock,
      random,
      log: silent,
      answers: () => Promise.resolve(answering.has(id)),
      greet: () => Promise.reject(new Error("silent")),
      mayDial: () => true,
    });
    ends.unshift(() => membership.close());
    await membership.activate();
    return { membership, answering, stop: (how) => (how === "leave" ? membership.leave() : membership.close()) };
  };
}

const ringOf = ({ membership }: Node): string =>
  membership
    .ring()
    .members.map(({ id }) => id)
    .sort()
    .join(" ");

/** How long it takes until all see this ring; rejects after `withinMs`. */
async function agree(nodes: readonly Node[], ring: string, withinMs: number): Promise<number> {
  const startedMs = performance.now();
  await eventually(() => nodes.every((node) => ringOf(node) === ring), { timeoutMs: withinMs });
  return performance.now() - startedMs;
}

const order = (id: string, more: object = {}) => ({
  mode: "beat" as const,
  id,
  incarnation: `${id}-incarnation`,
  document: `${id}-incarnation {"id":"${id}"}`,
  generation: `generation-${id}`,
  isNews: false,
  ...more,
});

/** What does not depend on the moment: how old a beat is, to five seconds. */
function timeless(reply: unknown): unknown {
  const [generation, isMine, ...cells] = reply as [string, number, ...string[]];
  const rows = Array.from({ length: cells.length / 4 }, (_, row) => cells.slice(row * 4, row * 4 + 4));
  for (const [id, score, age] of rows)
    assert.ok(/^\d{13}$/.test(score!) && /^-?\d+$/.test(age!), `${id} ${score} ${age}`);
  return [
    generation,
    isMine,
    rows.map(([id, , age, document]) => `${id} ${Math.floor(Number(age) / 5_000)} ${document}`).sort(),
  ];
}

suite("members of a cluster by a real Redis", { skip: needsRedis(), concurrency: true }, () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());

  test("the stand-in for Redis in other tests answers as Redis does", async (t) => {
    const redis = openRedis({
      url: server.url,
      prefix: randomUUID(),
      log: silent,
      clock: systemClock,
      random: () => 0,
    });
    t.after(() => redis.close());
    const stores: BeatStore[] = [redisBeats(redis), beatBoard(virtualClock()).of("n1")];
    const impostor = { incarnation: "another-incarnation", document: 'another-incarnation {"id":"n1"}' };
    const orders = [
      order("n1"),
      order("n2", { isNews: true }),
      order("n1", impostor),
      order("n1", { ...impostor, mode: "leave" }),
      order("n1", { ...impostor, mode: "claim" }),
      order("n1"),
      order("n2", { mode: "leave" }),
      order("n2", { mode: "leave" }),
      order("n3", { document: "" }),
      order("n1", { ...impostor, mode: "leave" }),
      order("n1"),
    ];
    for (const [index, sent] of orders.entries()) {
      const [real, fake] = await Promise.all(stores.map((store) => store.exchange(sent)));
      assert.deepEqual(timeless(fake), timeless(real), `order ${index}`);
    }
  });

  test("nodes that come and go are known to all within 3 s, and at once where hints arrive", async (t) => {
    const open = nodesOn(server, t);
    const [n1, n2, n3] = [await open("n1"), await open("n2"), await open("n3")];
    await agree([n1, n2, n3], "n1 n2 n3", 3_000);
    assert.equal(new Set([n1, n2, n3].map(({ membership }) => membership.ring().epoch)).size, 1);
    assert.equal(await n3.membership.drain(), true);
    const tookMs = await agree([n1, n2, n3], "n1 n2", 3_000);
    assert.ok(tookMs < 1_500, `${tookMs} ms: the hint did not arrive`);
    assert.ok(n1.membership.others(digest).includes("n3"));
    await n3.stop("leave");
    await eventually(() => !n1.membership.others(digest).includes("n3"), { timeoutMs: 3_000 });
  });

  test("a node that crashed is out within 12 s, one that is back with its id takes it at once", async (t) => {
    const open = nodesOn(server, t);
    const [n1, n2] = [await open("n1"), await open("n2")];
    await agree([n1, n2], "n1 n2", 3_000);
    await n2.stop("crash");
    const again = await open("n2");
    await agree([n1, again], "n1 n2", 3_000);
    assert.equal(again.membership.status().isSuperseded, false);
    await again.stop("crash");
    const tookMs = await agree([n1], "n1", 12_000);
    assert.ok(tookMs > 7_900, `${tookMs} ms`);
  });

  test("a set that was wiped costs no node its place, and is there again after one beat", async (t) => {
    const own = await startRedis();
    t.after(() => own.stop());
    const open = nodesOn(own, t);
    const nodes = [await open("n1"), await open("n2"), await open("n3")];
    await agree(nodes, "n1 n2 n3", 3_000);
    const rings = new Set<string>();
    for (const node of nodes) node.membership.onChange(() => void rings.add(ringOf(node)));
    assert.match(await own.ask("FLUSHALL"), /OK/);
    await eventually(() => nodes.every(({ membership }) => membership.status().wipedAgoMs !== undefined), {
      timeoutMs: 6_000,
    });
    await eventually(async () => (await own.ask("DBSIZE")).startsWith(":3"), { timeoutMs: 3_000 });
    const fresh = await open("n4");
    await agree([...nodes, fresh], "n1 n2 n3 n4", 3_000);
    assert.deepEqual(
      [...rings].filter((ring) => !ring.startsWith("n1 n2 n3")),
      [],
    );
  });

  test("a Redis that is killed, and one that hangs, freeze the ring; members are read again within 5 s", async (t) => {
    const own = await startRedis();
    t.after(() => own.stop());
    const open = nodesOn(own, t);
    const nodes = [await open("n1"), await open("n2")];
    await agree(nodes, "n1 n2", 3_000);
    const areFrozen = (): boolean => nodes.every(({ membership }) => membership.status().frozenForMs !== undefined);
    const areBack = (): boolean =>
      nodes.every(({ membership }) => membership.status().reasons.every((reason) => !/read/.test(reason)));
    await own.kill();
    await eventually(areFrozen, { timeoutMs: 5_000 });
    const alone = await open("n3");
    assert.equal(ringOf(alone), "n3", "it starts without Redis");
    assert.deepEqual(nodes.map(ringOf), ["n1 n2", "n1 n2"]);
    await own.restart();
    await eventually(areBack, { timeoutMs: 5_000 });
    await agree([...nodes, alone], "n1 n2 n3", 3_000);
    own.freeze();
    await eventually(areFrozen, { timeoutMs: 5_000 });
    assert.equal(await nodes[0]!.membership.drain(), false, "nobody can be told, and nobody waits for long");
    assert.equal(ringOf(nodes[1]!), "n1 n2 n3");
    own.thaw();
    await eventually(areBack, { timeoutMs: 5_000 });
    await agree([...nodes, alone], "n2 n3", 3_000);
  });
});
