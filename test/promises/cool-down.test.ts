import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { eventually, type Hub, startHub } from "@pullring/testkit";

import { scrape } from "./metrics.ts";
import { askRaw } from "./raw.ts";
import { reach, type Rig, startRig } from "./rig.ts";

const repository = "acme/app";
const pauseSec = 3;

const stack = new AsyncDisposableStack();
let rig: Rig;
let hubs: Readonly<Record<string, Hub>>;

const limits: Readonly<Record<string, { readonly bareLf: boolean; readonly what: string }>> = {
  "abuse.test": { bareLf: false, what: "the abuse limit" },
  "bare.test": { bareLf: true, what: "the abuse limit in lines that end by LF alone" },
};

before(async () => {
  const started = await Promise.all(
    ["limit.test", ...Object.keys(limits)].map(async (name) => [name, await startHub()] as const),
  );
  for (const [, hub] of started) stack.defer(() => hub.close());
  hubs = Object.fromEntries(started);
  const upstreams = Object.fromEntries(started.map(([name, hub]) => [name, reach(hub)]));
  rig = stack.use(await startRig({ config: { upstreams, tags: { fresh: "0s" } } }));
});
after(() => stack.disposeAsync());

/** One image that was pulled before anything went wrong, others that were not. */
async function setUp(name: string) {
  const hub = hubs[name];
  assert.ok(hub);
  const image = (tag: string) => hub.content.addImage({ repository, tag, layers: [100] });
  const [known, ...unknown] = [image("known"), image("b"), image("c")] as const;
  const place = `${name}/${repository}`;
  const statusOf = async (reference: string): Promise<number> => (await askRaw(rig.manifest(place, reference))).status;
  assert.equal(await statusOf("known"), 200);
  return { ...hub, place, known, unknown, statusOf };
}

describe("inside a cool-down", { concurrency: true }, () => {
  test("that the pull limit began no manifest is asked for; what is free goes on, what is cached is served", async () => {
    const { content, quota, ledger, place, known, unknown, statusOf } = await setUp("limit.test");
    quota.setRemaining(0);
    const gets = (): number => ledger.count({ kind: "manifest_get" });
    const before = gets();
    assert.equal(await statusOf("b"), 503);
    assert.equal(gets(), before + 1);
    for (const reference of ["b", "c", ...unknown.map(({ digest }) => digest)])
      assert.equal(await statusOf(reference), 503);
    assert.equal(gets(), before + 1);
    for (const reference of ["known", known.digest]) assert.equal(await statusOf(reference), 200);
    for (const { digest } of known.layers) assert.equal((await askRaw(rig.blob(place, digest))).status, 200);
    assert.equal(ledger.count({ status: 429 }), 1);
    // A tag that has moved meanwhile is seen by HEAD, which is free; what it was is served, as stale.
    content.moveTag(repository, "known", unknown[0].digest);
    const moved = await askRaw(rig.manifest(place, "known"));
    assert.deepEqual([moved.status, moved.headers["docker-content-digest"]], [200, known.digest]);
    assert.match(moved.headers["cache-status"] ?? "", /detail=stale/);
    assert.equal(gets(), before + 1);
  });

  for (const [name, { bareLf, what }] of Object.entries(limits)) {
    test(`that ${what} began nothing goes out; what is cached is served, as stale`, async () => {
      const { knobs, ledger, place, known, unknown, statusOf } = await setUp(name);
      knobs.abuse = { retryAfterSec: pauseSec, bareLf, text: "Too Many Requests" };
      const before = ledger.count();
      const stale = await askRaw(rig.manifest(place, "known"));
      assert.deepEqual([stale.status, ledger.count()], [200, before + 1]);
      assert.match(stale.headers["warning"] ?? "", /stale: upstream limits our requests/);

      for (const method of ["GET", "HEAD"]) {
        assert.equal((await askRaw(rig.manifest(place, "known"), { method })).status, 200);
        assert.equal((await askRaw(rig.manifest(place, known.digest), { method })).status, 200);
        assert.equal((await askRaw(rig.manifest(place, "b"), { method })).status, 503);
        assert.equal((await askRaw(rig.blob(place, unknown[0].config.digest), { method })).status, 404);
        assert.equal((await askRaw(`${rig.pullring.url}/v2/${place}/tags/list`, { method })).status, 503);
      }
      assert.equal(ledger.count(), before + 1);
      knobs.abuse = undefined;
      await eventually(async () => (await statusOf("b")) === 200, { timeoutMs: 20_000, intervalMs: 100 });
      const [refused, next] = ledger.entries.slice(before);
      assert.ok(refused && next);
      assert.ok(next.at - refused.at >= pauseSec * 1000, `${next.at - refused.at} ms`);
    });
  }
});

test("of all that each stale answer was counted by its reason", async () => {
  const { sum } = await scrape(rig.pullring);
  assert.ok(sum("pullring_stale_total", { reason: "throttled" }) >= 2 * 3);
});
