import assert from "node:assert/strict";
import { test } from "node:test";

import { eventually } from "@pullring/testkit";

import { defineScript } from "./index.ts";
import { bulk, ok, redisFor, type ScriptedRedis, startScriptedRedis } from "./test-redis.ts";

const script = defineScript("return 1");

/** What a sentinel answers: where the primary is. */
const pointing =
  (to: () => ScriptedRedis) =>
  ([name]: readonly string[]): string =>
    name === "sentinel" ? `*2\r\n${bulk("127.0.0.1")}${bulk(String(to().port))}` : ok;
const serving = ([name]: readonly string[]): string => (name === "evalsha" ? ":1\r\n" : ok);

test("sentinels get their own login and servers theirs", async (t) => {
  const primary = await startScriptedRedis(t, ([name]) => (name === "info" ? undefined : serving([name ?? ""])));
  const sentinel = await startScriptedRedis(
    t,
    pointing(() => primary),
  );
  const { redis } = redisFor(t, 0, {
    sentinels: {
      addresses: [{ host: "127.0.0.1", port: sentinel.port }],
      master: "main",
      username: "watcher",
      password: () => "of the sentinels",
    },
    username: "pullring",
    password: () => "of the servers",
  });
  assert.equal(await redis.run(script, [], []), 1);
  const asked = sentinel.asked.filter(([name]) => name !== "client");
  assert.deepEqual(asked, [
    ["auth", "watcher", "of the sentinels"],
    ["sentinel", "get-master-addr-by-name", "main"],
  ]);
  assert.deepEqual(primary.asked[0], ["auth", "pullring", "of the servers"]);
});

test("a sentinel that is silent, gone or wrong delays the start by one attempt at most", async (t) => {
  const answering = ([name]: readonly string[]): string | undefined => (name === "info" ? undefined : ":1\r\n");
  const primary = await startScriptedRedis(t, answering);
  const silent = await startScriptedRedis(t, () => undefined);
  const gone = await startScriptedRedis(t, () => undefined);
  await gone.close();
  const good = await startScriptedRedis(
    t,
    pointing(() => primary),
  );
  const addresses = [silent, gone, good].map(({ port }) => ({ host: "127.0.0.1", port }));
  const { redis } = redisFor(t, 0, { sentinels: { addresses, master: "main" } });
  await eventually(() => redis.state().up, { timeoutMs: 2_000 });
});

test("a primary that was demoted is left for the one that the sentinels name by then", async (t) => {
  const healthy = ([name]: readonly string[]): string | undefined => (name === "info" ? undefined : ":1\r\n");
  const before = await startScriptedRedis(t, healthy);
  const after = await startScriptedRedis(t, ([name]) => (name === "info" ? undefined : ":2\r\n"));
  let primary = before;
  const sentinel = await startScriptedRedis(
    t,
    pointing(() => primary),
  );
  const { redis } = redisFor(t, 0, {
    sentinels: { addresses: [{ host: "127.0.0.1", port: sentinel.port }], master: "main" },
  });
  assert.equal(await redis.run(script, [], []), 1);
  before.answering = ([name]) =>
    name === "evalsha" ? "-READONLY You can't write against a read only replica.\r\n" : undefined;
  primary = after;
  await assert.rejects(redis.run(script, [], []), /READONLY/);
  assert.equal(await eventually(() => redis.run(script, [], []).catch(() => undefined), { timeoutMs: 2_000 }), 2);
});
