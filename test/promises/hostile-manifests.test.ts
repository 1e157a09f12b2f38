import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { digestOf, eventually, type Fault, type FaultMatch, type Hub, startHub } from "@pullring/testkit";

import { keptFiles, wrongFiles } from "../real/disk.ts";
import { asDockerHub } from "../real/pullring.ts";
import { askRaw } from "./raw.ts";
import { reach, type Rig, startRig } from "./rig.ts";

const tag = "1";
const always = { times: "always" } as const;

interface Scene {
  readonly promise: string;
  /** Every GET unless told. */
  readonly match?: FaultMatch;
  readonly fault: Fault;
  /** Status while it goes wrong; 200 has to be the manifest. */
  readonly status: number;
}

const head: FaultMatch = { kind: "manifest_head", ...always };
const gets: FaultMatch = { kind: "manifest_get", ...always };
const once: FaultMatch = { kind: "manifest_get" };
const strange = `sha256:${"7".repeat(64)}`;

const scenes: readonly Scene[] = [
  { promise: "with a wrong byte is refused", fault: { corruptAt: 20 }, status: 503 },
  { promise: "cut once is asked for again", match: once, fault: { cutAfterBytes: 100 }, status: 200 },
  { promise: "cut again and again is refused", fault: { cutAfterBytes: 100 }, status: 503 },
  { promise: "cut by RST again and again is refused", fault: { cutAfterBytes: 100, cutBy: "rst" }, status: 503 },
  { promise: "of unknown length that is cut is refused", fault: { cutAfterBytes: 100, framing: "close" }, status: 503 },
  { promise: "declared longer than it is is refused", fault: { contentLengthDelta: 10 }, status: 503 },
  { promise: "declared shorter than it is is refused", fault: { contentLengthDelta: -10 }, status: 503 },
  { promise: "declared too long for any manifest is refused", fault: { contentLengthDelta: 5_000_000 }, status: 404 },
  { promise: "in gzip is refused", fault: { gzip: true }, status: 503 },
  { promise: "replaced by a page is refused", fault: { status: 200, body: "<html>" }, status: 503 },
  { promise: "answered 500 at first is asked for again", match: once, fault: { status: 500 }, status: 200 },
  { promise: "answered 500 again and again is refused", fault: { status: 500 }, status: 503 },
  { promise: "answered 404 is missing", fault: { status: 404 }, status: 404 },
  { promise: "whose connection ends at once is refused", fault: { close: "rst" }, status: 503 },
  { promise: "redirected in a loop is refused", fault: { redirectLoop: true }, status: 503 },
  { promise: "of a wrong media type has its own", fault: { headers: { "content-type": "text/html" } }, status: 200 },
  {
    promise: "without a digest header has its own",
    fault: { headers: { "docker-content-digest": null } },
    status: 200,
  },
  {
    promise: "with a wrong digest header has its own",
    fault: { headers: { "docker-content-digest": strange } },
    status: 200,
  },
  {
    promise: "whose HEAD has a wrong media type has its own",
    match: head,
    fault: { headers: { "content-type": "text/html" } },
    status: 200,
  },
  {
    promise: "whose HEAD names what is not there is missing",
    match: head,
    fault: { headers: { "docker-content-digest": strange } },
    status: 404,
  },
  { promise: "whose HEAD is answered 500 is refused", match: head, fault: { status: 500 }, status: 503 },
];

const stack = new AsyncDisposableStack();
let rig: Rig;
/** Hubs of other habits: no digest in any header; HEAD refused and a wrong digest on GET; tokens that run out or do not come. */
let silent: Hub;
let lying: Hub;
let tokens: Hub;

before(async () => {
  const hubs = [{ manifestDigestHeader: false }, { manifestHeadStatus: 405 }, {}];
  const started = await Promise.all(hubs.map((knobs) => startHub(knobs)));
  for (const hub of started) stack.defer(() => hub.close());
  [silent, lying, tokens] = started as [Hub, Hub, Hub];
  const upstreams = (hub: Hub) => ({
    ...asDockerHub(hub),
    "silent.test": reach(silent),
    "lying.test": reach(lying),
    "tokens.test": reach(tokens),
  });
  rig = stack.use(await startRig({ config: (hub) => ({ upstreams: upstreams(hub) }) }));
});
after(() => stack.disposeAsync());

async function assertWhole(repository: string, digest: string, mediaType: string): Promise<void> {
  for (const reference of [tag, digest]) {
    const got = await askRaw(rig.manifest(repository, reference));
    assert.deepEqual([got.status, await digestOf(got.body)], [200, digest], reference);
    const asked = await askRaw(rig.manifest(repository, reference), { method: "HEAD" });
    for (const { headers } of [got, asked]) {
      assert.equal(headers["docker-content-digest"], digest);
      assert.equal(headers["content-type"], mediaType, reference);
      assert.equal(headers["content-length"], String(got.body.length));
    }
  }
}

describe("a manifest", { concurrency: true }, () => {
  for (const [index, { promise, match = gets, fault, status }] of scenes.entries()) {
    test(promise, async () => {
      const { hub } = rig;
      const repository = `acme/scene-${index}`;
      const { digest, mediaType } = hub.content.addImage({ repository, tag, layers: [100] });
      const rule = hub.faults.add({ ...match, repository }, fault);
      const answer = await askRaw(rig.manifest(repository, tag));
      assert.deepEqual([answer.status, answer.end], [status, "whole"]);
      assert.ok(rule.hits > 0);
      if (status === 200) await assertWhole(repository, digest, mediaType);
      else assert.equal(answer.headers["content-type"], "application/json");
      rule.remove();
      // What was wrong about it was not kept: it is as it should be as soon as upstream is. A 404 is believed for 10 s.
      if (status !== 404) await assertWhole(repository, digest, mediaType);
    });
  }
});

describe("a registry", { concurrency: true }, () => {
  test("that names no digest costs one counted GET by tag", async () => {
    const repository = "acme/silent";
    const { digest, mediaType } = silent.content.addImage({ repository, tag, layers: [100] });
    await assertWhole(`silent.test/${repository}`, digest, mediaType);
    const gets = silent.ledger.filter({ kind: "manifest_get" });
    assert.deepEqual(
      gets.map(({ reference, counted }) => [reference, counted]),
      [[tag, true]],
    );
  });

  test("that leaves a digest out once is asked by HEAD again, which is free", async () => {
    const { content, faults, ledger } = rig.hub;
    const repository = "acme/once-silent";
    const { digest, mediaType } = content.addImage({ repository, tag, layers: [100] });
    content.addImage({ repository, tag: "before", layers: [] });
    assert.equal((await askRaw(rig.manifest(repository, "before"))).status, 200);
    faults.add({ kind: "manifest_head", reference: tag, repository }, { headers: { "docker-content-digest": null } });
    await assertWhole(repository, digest, mediaType);
    content.addImage({ repository, tag: "after", layers: [200] });
    for (let count = 0; count < 3; count++) await askRaw(rig.manifest(repository, "after"), { method: "HEAD" });
    const asked = ledger.filter({ repository, kind: "manifest_get" }).map(({ reference }) => reference);
    assert.deepEqual([asked.length, asked[1]], [2, tag]);
  });

  test("that refuses HEAD and names a wrong digest is not believed", async () => {
    const repository = "acme/lying";
    const { digest, mediaType } = lying.content.addImage({ repository, tag, layers: [100] });
    const lie = lying.faults.add(
      { kind: "manifest_get", ...always },
      { headers: { "docker-content-digest": strange } },
    );
    assert.equal((await askRaw(rig.manifest(`lying.test/${repository}`, tag))).status, 503);
    lie.remove();
    await assertWhole(`lying.test/${repository}`, digest, mediaType);
  });
});

describe("a token server", () => {
  test("whose token runs out in the middle of a pull is asked for another", async () => {
    const { content, faults, ledger } = tokens;
    const size = 1_200_000;
    const { digest } = content.addBlob({ repository: "acme/long", size });
    faults.add({ kind: "cdn_get" }, { cutAfterBytes: size / 2, dripBytesPerSec: size });
    const pulled = askRaw(rig.blob("tokens.test/acme/long", digest));
    await ledger.until(({ kind, bytesSent }) => kind === "cdn_get" && bytesSent > 0);
    tokens.advance(tokens.knobs.tokenLifetimeSec * 1000);
    const { status, end, body } = await pulled;
    assert.deepEqual([status, end, await digestOf(body)], [200, "whole", digest]);
    assert.equal(ledger.count({ kind: "token" }), 2);
    assert.deepEqual(
      ledger.filter({ kind: "blob_range" }).map(({ status }) => status),
      [401, 307],
    );
  });

  test("that fails costs an error, no manifest, and no storm", async () => {
    const { content, knobs, ledger } = tokens;
    const repository = "acme/tokenless";
    const { digest, config, mediaType } = content.addImage({ repository, tag, layers: [] });
    for (const fails of [500, 404]) {
      knobs.tokenStatus = fails;
      const before = ledger.count({ kind: "token" });
      const startedAt = performance.now();
      const asked = Array.from({ length: 20 }, () => askRaw(rig.manifest(`tokens.test/${repository}`, tag)));
      for (const { status } of await Promise.all(asked)) assert.equal(status, 503);
      assert.equal((await askRaw(rig.blob(`tokens.test/${repository}`, config.digest))).status, 404);
      assert.ok(performance.now() - startedAt < 5_000);
      assert.ok(ledger.count({ kind: "token" }) - before <= 6, `${ledger.count({ kind: "token" }) - before} requests`);
    }
    assert.equal(ledger.count({ repository, kind: ["manifest_get", "manifest_head"] }), 0);
    knobs.tokenStatus = undefined;
    const isBack = async () => (await askRaw(rig.manifest(`tokens.test/${repository}`, tag))).status === 200;
    await eventually(isBack, { intervalMs: 50 });
    await assertWhole(`tokens.test/${repository}`, digest, mediaType);
  });

  test("that answers by a page costs an error", async () => {
    const { content, faults } = tokens;
    const repository = "acme/page";
    const { digest, mediaType } = content.addImage({ repository, tag, layers: [] });
    const page = faults.add({ kind: "token", ...always }, { status: 200, body: "<html>" });
    assert.equal((await askRaw(rig.manifest(`tokens.test/${repository}`, tag))).status, 503);
    page.remove();
    await assertWhole(`tokens.test/${repository}`, digest, mediaType);
  });
});

test("of all that nothing wrong was kept", async () => {
  const kept = await keptFiles(rig.pullring.disk);
  assert.ok(kept.length > 0);
  assert.deepEqual(wrongFiles(kept), []);
});
