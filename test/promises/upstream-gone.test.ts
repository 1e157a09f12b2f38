import assert from "node:assert/strict";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { digestOf, eventually, type Hub, startHub } from "@pullring/testkit";

import { asDockerHub, type Pullring, startPullring } from "../real/pullring.ts";
import { askRaw, type RawAnswer } from "./raw.ts";
import { scrape } from "./metrics.ts";
import { bytesOfBlob, type Rig, startRig } from "./rig.ts";

const repository = "library/app";
const tag = "1";
const failMsMax = 2_000;

const stack = new AsyncDisposableStack();
let rig: Rig;
/** The same, set to hold its clients back. */
let holding: Pullring;
let content: ReturnType<typeof fill>;

/** The same digests whenever it is made. */
function fill(hub: Hub) {
  const platforms = ["linux/amd64", "linux/arm64"];
  const index = hub.content.addIndex({ repository, tag, platforms, layers: [2_000_000, 1000] });
  const signature = { repository, subject: index, artifactType: "application/vnd.example.signature" };
  hub.content.addReferrer(signature);
  const other = hub.content.addImage({ repository, tag: "other", layers: [1000] });
  return { index, other, images: Object.values(index.images), hub };
}

before(async () => {
  // Every answer asks upstream whether the tag has moved.
  rig = await startRig({ config: { tags: { fresh: "0s" } } });
  stack.use(rig);
  const dir = stack.use(await mkdtempDisposable(join(tmpdir(), "pullring-hold-"))).path;
  holding = stack.use(await startPullring({ dir, config: { upstreams: asDockerHub(rig.hub), fallback: "hold" } }));
  content = fill(rig.hub);
  await assertCached(false);
  for (const list of lists()) assert.equal((await askRaw(list)).status, 200);
  await rig.hub.close();
});
after(() => stack.disposeAsync());

const lists = (): readonly string[] => [
  `${rig.pullring.url}/v2/${repository}/tags/list`,
  `${rig.pullring.url}/v2/${repository}/referrers/${content.index.digest}`,
];

function assertStale({ headers }: RawAnswer, isStale: boolean, what: string): void {
  if (!isStale) {
    assert.doesNotMatch(headers["cache-status"] ?? "", /stale/, what);
    return;
  }
  assert.match(headers["cache-status"] ?? "", /^pullring; hit; ttl=-\d+; detail=stale$/, what);
  assert.match(headers["age"] ?? "", /^\d+$/, what);
  assert.match(headers["warning"] ?? "", /^(110 |299 - "stale: upstream is down)/, what);
}

/** Whole, in part, and by HEAD. */
async function assertServed(url: string, whole: Buffer, isStale: boolean): Promise<void> {
  const got = await askRaw(url);
  assert.deepEqual([got.status, got.end], [200, "whole"], url);
  assert.ok(got.body.equals(whole), url);
  const asked = await askRaw(url, { method: "HEAD" });
  assert.deepEqual([asked.status, asked.headers["content-length"]], [200, String(whole.length)], url);
  const [start, end] = [Math.floor(whole.length / 3), whole.length - 2];
  const part = await askRaw(url, { headers: { range: `bytes=${start}-${end}` } });
  assert.deepEqual([part.status, part.end], [206, "whole"], url);
  assert.ok(part.body.equals(whole.subarray(start, end + 1)), url);
  for (const answer of [got, asked, part]) assertStale(answer, isStale, url);
}

/** Everything that a pull touches, by tag and by digest. */
async function assertCached(isStale: boolean): Promise<void> {
  const { hub, index, images } = content;
  const held = hub.content.find(repository);
  const manifest = (digest: string): Buffer => held?.manifests.get(digest)?.bytes ?? Buffer.alloc(0);
  await assertServed(rig.manifest(repository, tag), manifest(index.digest), isStale);
  for (const { digest } of [index, ...images])
    await assertServed(rig.manifest(repository, digest), manifest(digest), false);
  for (const { digest } of images.flatMap(({ config, layers }) => [config, ...layers]))
    await assertServed(rig.blob(repository, digest), bytesOfBlob(hub, repository, digest), false);
}

test("with upstream gone every cached digest and tag pulls, tags as stale", async () => {
  await assertCached(true);
  for (const list of lists()) {
    const answer = await askRaw(list);
    assert.equal(answer.status, 200);
    assertStale(answer, true, list);
  }
  const { sum } = await scrape(rig.pullring);
  assert.ok(sum("pullring_stale_total", { reason: "down" }) >= 5);
});

test("a process that starts then serves the same", async () => {
  await rig.restart();
  await assertCached(true);
  for (const list of lists()) assertStale(await askRaw(list), true, list);
});

/** What nobody has pulled: another tag, its manifest, a blob of it; and what no registry has. */
const uncached = ({ url }: { readonly url: string }) => {
  const { digest, config } = content.other;
  const manifests = [`${repository}/manifests/other`, `${repository}/manifests/${digest}`, "acme/none/manifests/1"];
  const blobs = [`${repository}/blobs/${config.digest}`, `acme/none/blobs/sha256:${"0".repeat(64)}`];
  const urls = (paths: readonly string[]): string[] => paths.map((path) => `${url}/v2/${path}`);
  return { manifests: urls(manifests), blobs: urls(blobs) };
};

async function assertFails(urls: readonly string[], status: number): Promise<readonly RawAnswer[]> {
  const answers: RawAnswer[] = [];
  for (const url of urls) {
    for (const method of ["GET", "HEAD"]) {
      const startedAt = performance.now();
      const answer = await askRaw(url, { method });
      const tookMs = performance.now() - startedAt;
      assert.deepEqual([answer.status, answer.end], [status, "whole"], `${method} ${url}`);
      assert.ok(tookMs < failMsMax, `${method} ${url} took ${tookMs} ms`);
      answers.push(answer);
    }
  }
  return answers;
}

test("what is not cached fails within 2 s, by statuses that send clients to the upstream itself", async () => {
  const { manifests, blobs } = uncached(rig.pullring);
  await assertFails(manifests, 503);
  await assertFails(blobs, 404);
});

test("under `fallback: hold` it fails by 429 and asks for a few seconds", async () => {
  const { manifests, blobs } = uncached(holding);
  for (const { headers } of await assertFails([...manifests, ...blobs], 429)) {
    const seconds = Number(headers["retry-after"]);
    assert.ok(seconds >= 1 && seconds <= 5, headers["retry-after"]);
  }
});

test("when upstream is back nothing is stale any more, and what was missing is pulled", async () => {
  const port = (url: string): number => Number(new URL(url).port);
  const { url, tokenOrigin, cdnOrigins } = rig.hub;
  const cdns = [port(cdnOrigins[0]), port(cdnOrigins[1])] as const;
  const back = await startHub({ ports: { registry: port(url), token: port(tokenOrigin), cdns } });
  stack.defer(() => back.close());
  content = fill(back);
  const manifest = rig.manifest(repository, "other");
  await eventually(async () => (await askRaw(manifest)).status === 200, { timeoutMs: 20_000, intervalMs: 100 });
  assert.equal(await digestOf((await askRaw(manifest)).body), content.other.digest);
  await assertCached(false);
});

test("an upstream that does not answer is as good as gone", async () => {
  const { faults } = content.hub;
  const hangs = faults.add({ kind: "manifest_head", times: "always" }, { hang: true });
  const startedAt = performance.now();
  const { status, headers } = await askRaw(rig.manifest(repository, tag));
  assert.equal(status, 200);
  assert.match(headers["warning"] ?? "", /299 - "stale: upstream did not answer in time|^110/);
  assert.ok(performance.now() - startedAt < 3_000);
  assert.equal(hangs.hits, 1);
  const { sum } = await scrape(rig.pullring);
  assert.equal(sum("pullring_stale_total", { reason: "timeout" }), 1);
});
