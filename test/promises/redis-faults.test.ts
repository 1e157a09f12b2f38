import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";

import { eventually, startFaultProxy } from "@pullring/testkit";

import { isUp, newDigest, redisNode, timed, untilLeased } from "./redis-rig.ts";
import { needsRedis, needsSentinels, startRedis, startRedisCluster, startSentinels } from "../real/redis.ts";

/** What a caller may see beyond a deadline on a busy machine. */
const slackMs = 150;
const commandMs = 250;
const commandsPerMiss = 2;
const recoveryMs = 5_000;

async function oneServer(t: TestContext, conf: readonly string[] = []) {
  const server = await startRedis({ conf });
  t.after(() => server.stop());
  const node = redisNode(t, "n1", { url: server.url });
  await isUp(node);
  return { server, node };
}

suite("a Redis that fails", { skip: needsRedis() }, () => {
  test("killed, it is known to be away at once, and is used within 5 s of its return", async (t) => {
    const { server, node } = await oneServer(t);
    await server.kill();
    await eventually(() => !node.redis.state().up);
    for (let time = 0; time < 20; time += 1) {
      const { result, tookMs } = await timed(node.leases.acquire(newDigest()));
      assert.equal(result.state, "unavailable");
      assert.ok(tookMs < slackMs, `${tookMs} ms`);
    }
    await server.restart();
    assert.ok((await untilLeased(node)) < recoveryMs);
  });

  test("hung, it costs a miss two commands at most, then nothing, and is used within 5 s of its return", async (t) => {
    const { server, node } = await oneServer(t);
    server.freeze();
    const misses = [1, 2, 3, 4].map(() => timed(node.leases.acquire(newDigest())));
    for (const { result, tookMs } of await Promise.all(misses)) {
      assert.equal(result.state, "unavailable");
      assert.ok(tookMs < commandsPerMiss * commandMs + slackMs, `${tookMs} ms`);
    }
    // For longer than connections to it, which its kernel accepts, are tried.
    const until = performance.now() + 2_500;
    while (performance.now() < until) {
      const { result, tookMs } = await timed(node.leases.acquire(newDigest()));
      assert.equal(result.state, "unavailable");
      assert.ok(tookMs < slackMs, `${tookMs} ms`);
      await new Promise(setImmediate);
    }
    assert.equal(node.redis.state().up, false);
    server.thaw();
    assert.ok((await untilLeased(node)) < recoveryMs);
  });

  test("one that hangs while nobody asks it anything is found out all the same", async (t) => {
    const { server, node } = await oneServer(t);
    server.freeze();
    await eventually(() => !node.redis.state().up, { timeoutMs: recoveryMs });
    server.thaw();
    assert.ok((await untilLeased(node)) < recoveryMs);
  });

  test("wiped, it gives a lease to one other node and no more", async (t) => {
    const { server, node } = await oneServer(t);
    const digest = newDigest();
    assert.equal((await node.leases.acquire(digest)).state, "acquired");
    await server.ask("FLUSHALL");
    const others = ["n2", "n3", "n4"].map((id) => redisNode(t, id, { url: server.url }));
    const answers = await Promise.all(others.map(({ leases }) => leases.acquire(digest)));
    assert.deepEqual(answers.map(({ state }) => state).sort(), ["acquired", "held", "held"]);
  });

  test("full, it refuses leases and says why, and gives them again when there is room", async (t) => {
    const { server, node } = await oneServer(t);
    await server.ask("CONFIG SET maxmemory 1");
    const { result, tookMs } = await timed(node.leases.acquire(newDigest()));
    assert.equal(result.state, "unavailable");
    assert.ok(tookMs < commandMs, `${tookMs} ms`);
    assert.match(node.redis.state().reason ?? "", /^OOM/);
    await server.ask("CONFIG SET maxmemory 0");
    assert.ok((await untilLeased(node)) < recoveryMs);
    assert.deepEqual(node.redis.state(), { up: true });
  });

  test("a set-up that drops leases is told", async (t) => {
    const { node } = await oneServer(t, ["maxmemory-policy allkeys-lru"]);
    assert.match(node.redis.warnings().join("\n"), /allkeys-lru/);
  });

  test("a lease whose answers were lost is its own node's at the next call, and is nobody's if there is none", async (t) => {
    const { server } = await oneServer(t);
    const proxy = await startFaultProxy({ target: { port: server.port } });
    t.after(() => proxy.close());
    const [node, other] = [proxy.port, server.port].map((port, index) =>
      redisNode(t, `n${index + 1}`, { url: `redis://127.0.0.1:${port}` }),
    );
    assert.ok(node && other);
    await Promise.all([isUp(node), isUp(other)]);
    const [wanted, left] = [newDigest(), newDigest()];
    // So that Redis knows the script, and runs it when it is first asked.
    await other.leases.acquire(newDigest());

    proxy.toxics.stallAfterBytes = 0;
    const lost = await Promise.all([wanted, left].map((digest) => node.leases.acquire(digest)));
    assert.deepEqual(
      lost.map(({ state }) => state),
      ["unavailable", "unavailable"],
    );
    assert.equal((await other.leases.acquire(wanted)).state, "held");
    proxy.toxics.stallAfterBytes = undefined;
    await isUp(node);

    const again = await node.leases.acquire(wanted);
    assert.ok(again.state === "acquired" && again.attempt === 1);
    assert.equal(node.outcomes.at(-1), "mine");
    const isFree = async (): Promise<boolean> => (await other.leases.acquire(left)).state === "acquired";
    await eventually(isFree, { timeoutMs: recoveryMs, intervalMs: 50 });
    assert.equal((await other.leases.acquire(wanted)).state, "held");
  });

  test("a Redis Cluster holds leases of all its slots, and the loss of one node leaves those of the others", async (t) => {
    const servers = await startRedisCluster(3);
    t.after(() => Promise.all(servers.map((server) => server.stop())));
    const node = redisNode(t, "n1", { url: servers[0]?.url ?? "", cluster: true });
    const waiter = redisNode(t, "n2", { url: servers[1]?.url ?? "", cluster: true });
    await Promise.all([isUp(node), isUp(waiter)]);
    const digests = Array.from({ length: 30 }, newDigest);
    const acquire = async (): Promise<string[]> =>
      (await Promise.all(digests.map((digest) => node.leases.acquire(digest)))).map(({ state }) => state);
    assert.deepEqual(new Set(await acquire()), new Set(["acquired"]));
    const answers = await Promise.all(digests.map((digest) => waiter.leases.acquire(digest)));
    assert.deepEqual(new Set(answers.map(({ state }) => state)), new Set(["held"]));
    await Promise.all(servers.map((server) => server.ask("CONFIG SET cluster-require-full-coverage no")));
    await servers[2]?.kill();
    const states = await Promise.all(digests.map((digest) => waiter.leases.acquire(digest)));
    assert.ok(states.some(({ state }) => state === "held"));
    assert.ok(states.some(({ state }) => state === "unavailable"));
  });
});

suite("Redis behind Sentinel", { skip: needsSentinels() }, () => {
  for (const how of ["killed", "hung"] as const)
    test(`a primary that is ${how} is replaced, and the new one is used within 5 s of its promotion`, async (t) => {
      const trio = await startSentinels();
      t.after(() => trio.stop());
      const [primary] = trio.servers;
      assert.ok(primary);
      const addresses = trio.ports.map((port) => ({ host: "127.0.0.1", port }));
      const node = redisNode(t, "n1", { sentinels: { addresses, master: trio.name } });
      await isUp(node);
      if (how === "killed") await primary.kill();
      else primary.freeze();
      const isPromoted = async (): Promise<boolean> => (await trio.primaryPort()) !== primary.port;
      await eventually(isPromoted, { timeoutMs: 20_000, intervalMs: 20 });
      assert.ok((await untilLeased(node)) < recoveryMs);
    });
});
