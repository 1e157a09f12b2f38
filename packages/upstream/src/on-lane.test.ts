import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import { makeLocalBudgets } from "@pullring/core";
import { startConnectProxy, type Fault, type HubOptions } from "@pullring/testkit";

import { failsAs, hubRig, library, realClock, tag, type RigOptions } from "./test-rig.ts";

const quota = { anonymous: true, limit: 100, windowSec: 21_600, reserve: 0, priority: [] };

async function countedRig(t: TestContext, options: RigOptions & { readonly hub?: HubOptions } = {}) {
  const budgets = makeLocalBudgets({ clock: realClock });
  const { hub, rig } = await hubRig(t, { budgets, ...options, upstream: { quota } });
  hub.content.addImage({ repository: library.name, tag: "3", layers: [] });
  await rig.manifests.head(library, tag("3"));
  const get = () => rig.manifests.get(library, tag("3"));
  const state = async () => {
    const [only] = await budgets.all();
    return { spent: only?.spent, inFlight: only?.inFlight, remaining: only?.remaining };
  };
  return { hub, rig, get, state };
}

for (const [what, fault] of [
  ["without a word of it", { close: "rst" }],
  ["in the middle of its answer", { cutAfterBytes: 10 }],
  ["by a failure", { status: 503 }],
] as const satisfies readonly (readonly [string, Fault])[]) {
  test(`a counted request that ends ${what} may have been counted: each try is spent, and there are two`, async (t) => {
    const { hub, get, state } = await countedRig(t);
    hub.faults.add({ kind: "manifest_get", times: "always" }, fault);
    await assert.rejects(get(), failsAs("cutAfterBytes" in fault ? "cut" : "unavailable"));
    assert.equal(hub.ledger.count({ kind: "manifest_get" }), 2);
    assert.deepEqual(await state(), { spent: 2, inFlight: 0, remaining: 98 });
  });
}

test("a counted request that never left costs nothing", async (t) => {
  const proxy = await startConnectProxy();
  t.after(() => proxy.close());
  const { hub, get, state } = await countedRig(t, { egress: [{ name: "b", proxy: proxy.url }] });
  proxy.faults.refuse = true;
  proxy.reset();
  // What had been connected may be found broken first, by a request that is lost with it.
  await assert.rejects(get(), failsAs("unavailable", "down"));
  const { spent = 0 } = await state();
  await assert.rejects(get(), /a moment ago/);
  await assert.rejects(get(), /a moment ago/);
  assert.deepEqual(await state(), { spent, inFlight: 0, remaining: 100 - spent });
  assert.ok(spent <= 1);
  assert.equal(hub.ledger.count({ kind: "manifest_get" }), 0);
});

test("who gives up a counted request has spent it once it is on its way, and it is in flight no more", async (t) => {
  const { hub, get, rig, state } = await countedRig(t);
  hub.faults.add({ kind: "manifest_get" }, { hang: true });
  const leaving = new AbortController();
  const outcome = assert.rejects(rig.manifests.get(library, tag("3"), leaving.signal), { name: "AbortError" });
  await hub.ledger.until({ kind: "manifest_get" });
  assert.equal((await state()).inFlight, 1);
  leaving.abort();
  await outcome;
  assert.deepEqual(await state(), { spent: 1, inFlight: 0, remaining: 99 });
  await get();
});
