import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { eventually } from "@pullring/testkit";

import { defineScript, RedisUnavailable } from "./index.ts";
import { bulk, healthyInfo, ok, redisFor, startScriptedRedis } from "./test-redis.ts";
import { redisLimits as limits } from "../limits.ts";

const script = defineScript("return 1");
const noScript = "-NOSCRIPT No matching script. Please use EVAL.\r\n";

/** The rejection, and how long it took. */
async function refusal(promise: Promise<unknown>): Promise<{ error: RedisUnavailable; tookMs: number }> {
  const startedMs = performance.now();
  const error = await promise.then(
    () => assert.fail("it was answered"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof RedisUnavailable, String(error));
  return { error, tookMs: performance.now() - startedMs };
}

const scripted = async (t: TestContext, reply: string | undefined) => {
  const server = await startScriptedRedis(t, ([name]) => (name === "evalsha" || name === "eval" ? reply : ok));
  const { redis, logged } = redisFor(t, server.port);
  await eventually(() => redis.state().up);
  return { server, redis, logged, run: () => redis.run(script, [redis.key("{a}")], ["x", 1]) };
};

test("a script is sent by its hash, and as a whole once to a server that does not know it", async (t) => {
  const { server, run } = await scripted(t, ":7\r\n");
  assert.equal(await run(), 7);
  server.answering = ([name]) => (name === "evalsha" ? noScript : ":8\r\n");
  assert.equal(await run(), 8);
  const order = ["1", "test:{a}", "x", "1"];
  assert.deepEqual(server.asked, [
    ["evalsha", script.sha, ...order],
    ["evalsha", script.sha, ...order],
    ["eval", script.lua, ...order],
  ]);
});

test("a server that never knows the script is asked twice at most", async (t) => {
  const { server, run } = await scripted(t, noScript);
  assert.match((await refusal(run())).error.message, /NOSCRIPT/);
  assert.equal(server.asked.length, 2);
});

const refusals: readonly (readonly [line: string, reason: RegExp, isNewConnection: boolean])[] = [
  ["READONLY You can't write against a read only replica.", /^READONLY/, true],
  ["ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write", /^READONLY/, true],
  ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", /^MASTERDOWN/, true],
  ["LOADING Redis is loading the dataset in memory", /^LOADING/, true],
  ["NOAUTH Authentication required.", /^NOAUTH/, true],
  ["OOM command not allowed when used memory > 'maxmemory'.", /^OOM/, false],
  ["MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist", /^MISCONF/, false],
  ["NOREPLICAS Not enough good replicas to write.", /^NOREPLICAS/, false],
  ["NOPERM this user has no permissions to run the 'evalsha' command", /^NOPERM/, false],
  ["CLUSTERDOWN Hash slot not served", /^CLUSTERDOWN/, false],
  ["TRYAGAIN Multiple keys request during rehashing of slot", /^TRYAGAIN/, false],
  ["MOVED 866 127.0.0.1:7001", /^MOVED.*cluster/, false],
  ["ASK 866 127.0.0.1:7001", /^ASK.*cluster/, false],
  ["BUSY Redis is busy running a script.", /^BUSY/, false],
  ["ERR user_script:1: attempt to index a nil value", /nil value/, false],
];

for (const [line, reason, isNewConnection] of refusals)
  test(`"${line.slice(0, 40)}" is no answer, was not done, and shows`, async (t) => {
    const { server, redis, logged, run } = await scripted(t, `-${line}\r\n`);
    const { error, tookMs } = await refusal(run());
    assert.match(error.message, reason);
    assert.equal(error.mayHaveRun, false);
    assert.ok(tookMs < limits.commandMs);
    if (isNewConnection) await eventually(() => server.connections === 2);
    else assert.match(redis.state().reason ?? "", reason);
    await refusal(run());
    assert.equal(logged.filter((text) => text.startsWith("redis refuses")).length, 1);
    server.answering = ([name]) => (name === "evalsha" ? ":1\r\n" : ok);
    await eventually(() => run().catch(() => undefined), { timeoutMs: 2_000 });
    if (!isNewConnection) assert.equal(server.connections, 1);
  });

test("a silent server costs 250 ms, three times; then nothing, and one probe a second brings it back", async (t) => {
  const { server, redis, run } = await scripted(t, undefined);
  const first = await Promise.all([refusal(run()), refusal(run()), refusal(run())]);
  for (const { error, tookMs } of first) {
    assert.equal(error.mayHaveRun, true);
    assert.ok(tookMs >= limits.commandMs - 5 && tookMs < limits.commandMs + 100, String(tookMs));
  }
  const { error, tookMs } = await refusal(run());
  assert.equal(error.mayHaveRun, false);
  assert.ok(tookMs < 20, String(tookMs));
  assert.equal(redis.state().up, false);
  assert.equal(server.asked.length, 3);
  server.answering = ([name]) => (name === "evalsha" ? ":1\r\n" : undefined);
  await eventually(() => redis.state().up, { timeoutMs: limits.probeMs + 1_000 });
  assert.equal(await run(), 1);
});

test("what was sent is not sent again when its connection ends", async (t) => {
  const { server, run } = await scripted(t, undefined);
  server.answering = ([name], socket) => {
    if (name === "evalsha") socket.destroy();
    return undefined;
  };
  const { error, tookMs } = await refusal(run());
  assert.equal(error.mayHaveRun, true);
  assert.ok(tookMs < limits.commandMs);
  await eventually(() => server.connections === 2);
  server.answering = ([name]) => (name === "evalsha" ? ":1\r\n" : undefined);
  assert.equal(await eventually(() => run().catch(() => undefined)), 1);
  assert.equal(server.asked.length, 2);
});

test("where nobody listens each command fails at once", async (t) => {
  const server = await startScriptedRedis(t, () => ":1\r\n");
  await server.close();
  const { redis } = redisFor(t, server.port);
  const run = (): Promise<unknown> => redis.run(script, [], []);
  await refusal(run());
  for (let time = 0; time < 5; time += 1) {
    const { error, tookMs } = await refusal(run());
    assert.equal(error.mayHaveRun, false);
    assert.ok(tookMs < 20, String(tookMs));
  }
  assert.match(redis.state().reason ?? "", /ECONNREFUSED/);
});

test("a command that comes before the first connection stands waits for it", async (t) => {
  const server = await startScriptedRedis(t, () => ":1\r\n");
  const { redis } = redisFor(t, server.port);
  assert.equal(await redis.run(script, [], []), 1);
});

test("a replica and a server that loads are not used until they are ready", async (t) => {
  for (const info of [
    healthyInfo.replace("role:master", "role:slave"),
    healthyInfo.replace("loading:0", "loading:1"),
  ]) {
    const server = await startScriptedRedis(t, () => undefined);
    server.info = info;
    const { redis } = redisFor(t, server.port);
    await refusal(redis.run(script, [], []));
    assert.match(redis.state().reason ?? "", /replica|takes no writes|LOADING/);
    assert.equal(server.asked.length, 0);
    server.info = healthyInfo;
    await eventually(() => redis.state().up);
  }
});

test("eviction, an old version and a user without INFO are told, each once", async (t) => {
  const server = await startScriptedRedis(t, () => undefined);
  server.info = "redis_version:7.2.4\r\nrole:master\r\nmaxmemory_policy:allkeys-lru\r\n";
  const { redis, logged } = redisFor(t, server.port);
  await eventually(() => redis.state().up);
  assert.match(redis.warnings().join("\n"), /^.*allkeys-lru.*noeviction$/, "an old version is told in the log only");
  assert.equal(logged.filter((text) => text.includes("set up")).length, 2);

  server.answering = ([name]) => (name === "info" ? "-NOPERM this user has no permissions\r\n" : undefined);
  const limited = redisFor(t, server.port);
  await eventually(() => limited.redis.state().up);
  assert.equal(limited.logged.filter((text) => text.includes("set up")).length, 1);

  for (const fine of [healthyInfo, "redis_version:7.2.4\r\nvalkey_version:9.0.0\r\nmaxmemory_policy:noeviction\r\n"]) {
    server.answering = () => undefined;
    server.info = fine;
    const current = redisFor(t, server.port);
    await eventually(() => current.redis.state().up);
    assert.deepEqual(current.redis.warnings(), []);
  }
});

test("a password is read anew for each connection", async (t) => {
  let password: string | undefined = "old";
  let wanted = "old";
  const server = await startScriptedRedis(t, (command) => {
    if (command[0] === "auth") return command.at(-1) === wanted ? ok : "-WRONGPASS invalid username-password pair\r\n";
    return command[0] === "evalsha" ? ":1\r\n" : undefined;
  });
  const { redis } = redisFor(t, server.port, { username: "pullring", password: () => password });
  const run = (): Promise<unknown> => redis.run(script, [], []);
  assert.equal(await run(), 1);
  wanted = "new";
  server.answering = ((before) => (command, socket) => {
    if (command[0] === "evalsha") return "-NOAUTH Authentication required.\r\n";
    return before(command, socket);
  })(server.answering);
  await refusal(run());
  await eventually(() => /WRONGPASS/.test(redis.state().reason ?? ""));
  password = "new";
  await eventually(() => redis.state().up, { timeoutMs: 2_000 });
  assert.deepEqual(
    server.asked.findLast(([name]) => name === "auth"),
    ["auth", "pullring", "new"],
  );
});

test("a source of secrets that fails is an outage, not a crash", async (t) => {
  const server = await startScriptedRedis(t, () => ":1\r\n");
  let isThere = false;
  const password = (): string | undefined => {
    if (!isThere) throw new Error("no such file");
    return undefined;
  };
  const { redis } = redisFor(t, server.port, { password });
  assert.match((await refusal(redis.run(script, [], []))).error.message, /no such file/);
  isThere = true;
  await eventually(() => redis.state().up);
});

test("messages come over a connection of their own, which is made again with all its channels", async (t) => {
  const subscribed = (channel: string): string => `*3\r\n${bulk("subscribe")}${bulk(channel)}:1\r\n`;
  const message = (channel: string, text: string): string => `*3\r\n${bulk("message")}${bulk(channel)}${bulk(text)}`;
  const server = await startScriptedRedis(t, ([name, ...channels], socket) => {
    if (name !== "subscribe") return name === "ping" ? `*2\r\n${bulk("pong")}${bulk("")}` : undefined;
    setImmediate(() => channels.forEach((channel) => socket.write(message(channel, `to ${channel}`))));
    return channels.map(subscribed).join("");
  });
  const { redis } = redisFor(t, server.port);
  await eventually(() => redis.state().up);
  assert.equal(server.connections, 1);
  const heard: string[] = [];
  const hear = (text: string): void => void heard.push(text);
  const stop = redis.subscribe("a", hear);
  redis.subscribe("b", hear);
  await eventually(() => heard.includes("to a") && heard.includes("to b"));
  assert.equal(server.connections, 2);
  heard.length = 0;
  server.answering = (
    (before) =>
    ([name, ...rest], socket) => {
      if (name === "unsubscribe") socket.destroy();
      return before([name ?? "", ...rest], socket);
    }
  )(server.answering);
  stop();
  await eventually(() => heard.includes("to b"));
  assert.equal(heard.includes("to a"), false);
});
