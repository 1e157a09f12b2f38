import assert from "node:assert/strict";
import { test } from "node:test";

import { virtualClock } from "@pullring/testkit";

import { makeRedisPurges } from "./redis-purges.ts";

test("word of a purge that is yet to come is none", async () => {
  const clock = virtualClock();
  const told: [string, number][] = [];
  const rows = ["sha256:a", "5000", "sha256:b", "-5000", "sha256:c", "-3600000", "sha256:d", "no number"];
  const purges = makeRedisPurges({
    redis: { key: (suffix) => suffix, run: () => Promise.resolve(rows), subscribe: () => () => {} },
    clock,
    onPurge: (key, atMs) => void told.push([key, atMs - clock.now()]),
  });
  purges.follow();
  await clock.advance(1);
  await purges.close();
  assert.deepEqual(told, [
    ["sha256:a", -5_000],
    ["sha256:b", 0],
  ]);
});
