import assert from "node:assert/strict";
import { test } from "node:test";

import { dnsCheck } from "./dns-check.ts";

const lookup = (host: string): Promise<readonly string[]> =>
  host === "lost.test"
    ? Promise.reject(Object.assign(new Error("no"), { code: "ENOTFOUND" }))
    : Promise.resolve(["192.0.2.1"]);

test("names with addresses are fine; of several the lost ones are told", async () => {
  const names = (hosts: readonly string[]) => dnsCheck({ upstream: "u", hosts, lookup }).run();
  assert.deepEqual(await names(["a.test", "b.test"]), { status: "ok", found: "a.test, b.test" });
  const { status, found, advice } = await names(["a.test", "lost.test"]);
  assert.deepEqual([status, found], ["fail", "no address for lost.test (ENOTFOUND)"]);
  assert.match(advice ?? "", /resolv\.conf/);
});
