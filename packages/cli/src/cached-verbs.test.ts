import assert from "node:assert/strict";
import { test } from "node:test";

import { parse } from "yaml";

import { pullring, startNode } from "./test-node.ts";

const digest = `sha256:${"ab".repeat(32)}`;

const tiers = [
  { node: "n1", tier: "disk", bytes: 1_048_576, bytesMax: 4_194_304, objects: 3, hits: 30, sent: 2_048, evictions: 1 },
  { node: "n1", tier: "upstream", bytes: null, bytesMax: null, objects: null, hits: 10, sent: 512, evictions: null },
];

test("cache shows every tier, and the share of answers that cost upstream nothing", async (t) => {
  const { url, seen } = await startNode(t, { body: { tiers, missing: [] } });
  const { code, out } = await pullring("cache", "--admin", url);
  assert.equal(code, 0);
  assert.match(out, /^n1 +disk +1\.0 MiB +4\.0 MiB +3 +30 +2\.0 KiB +1$/m);
  assert.match(out, /^n1 +upstream +- +- +- +10 +512 B +-$/m);
  assert.match(out, /^75\.0 % of 40 answers came without upstream$/m);
  await pullring("cache", "--self", "--admin", url);
  assert.deepEqual(
    seen.map((each) => each.url),
    ["/admin/v1/cache", "/admin/v1/cache?node=self"],
  );
  const idle = await startNode(t, { body: { tiers: [], missing: ["n2"] } });
  const silent = await pullring("cache", "--admin", idle.url);
  assert.deepEqual([silent.code, silent.err], [5, "not reached: n2\n"]);
});

const image = {
  node: "n1",
  repository: "docker.io/library/alpine",
  tag: "3",
  digest,
  mediaType: null,
  checkedAt: "2026-01-02T03:04:05.000Z",
  bytes: 3_145_728,
  here: null,
};

test("images are a table, a page of it, and say when there are more", async (t) => {
  const { url, seen } = await startNode(t, {
    body: { images: [image], next: "docker.io/library/alpine:3", missing: [] },
  });
  const { code, out } = await pullring("images", "--match", "alpine", "--limit", "1", "--self", "--admin", url);
  assert.equal(code, 0);
  assert.match(out, /^docker\.io\/library\/alpine:3 +n1 +sha256:abababababab +2026-01-02 03:04 +3\.0 MiB +\?$/m);
  assert.match(out, /^more: --all, or --limit N$/m);
  assert.equal(seen[0]?.url, "/admin/v1/images?match=alpine&after=&limit=1&node=self");
});

test("images without any are told so, and a limit that is none is refused before anything is asked", async (t) => {
  const { url, seen } = await startNode(t, { body: { images: [], next: null, missing: [] } });
  assert.equal((await pullring("images", "--all", "--admin", url)).out, "no images\n");
  for (const limit of ["0", "501", "x"]) {
    assert.equal((await pullring("images", "--limit", limit, "--admin", url)).code, 2);
  }
  assert.equal(seen.length, 1);
});

test("config is YAML that means the same", async (t) => {
  const body = { listen: "0.0.0.0:5000", admin: { token: "***" }, accounts: [{ name: "ci", repositories: ["a/**"] }] };
  const { url } = await startNode(t, { body });
  const { code, out } = await pullring("config", "--admin", url);
  assert.equal(code, 0);
  assert.deepEqual(parse(out), body);
  assert.doesNotMatch(out, /^\{/);
});

const counts = { held: 1, fetched: 1, failed: 0 };
const steps = [
  { step: "manifest", image: "docker.io/library/alpine:3", digest, platform: null, state: "fetched" },
  { step: "image", image: "docker.io/library/alpine:3", digest, manifests: 1, blobs: 2, bytes: 2_048 },
  { step: "progress", blobs: 0, blobsAll: 2, bytes: 512, bytesAll: 2_048 },
  { step: "blob", image: "docker.io/library/alpine:3", digest, bytes: 1_024, state: "fetched" },
  { step: "blob", image: "docker.io/library/alpine:3", digest, bytes: 1_024, state: "held" },
  {
    step: "summary",
    images: 1,
    failed: 0,
    manifests: counts,
    blobs: counts,
    bytes: { held: 1_024, fetched: 1_024 },
    ms: 1_234,
  },
];
const linesOf = (all: readonly object[]): string => all.map((step) => `${JSON.stringify(step)}\n`).join("");
const type = "application/x-ndjson";

test("warm tells each step in a line of its own where nobody watches a bar, and sums up", async (t) => {
  const { url, seen } = await startNode(t, { body: linesOf(steps), type });
  const words = ["warm", "alpine:3", "--platform", "linux/arm64", "--platform", "linux/amd64"];
  const { code, out, err } = await pullring(...words, "--admin", url);
  assert.deepEqual([code, err], [0, ""]);
  assert.deepEqual(out.split("\n"), [
    "  sha256:abababababab  manifest  fetched",
    "docker.io/library/alpine:3  sha256:abababababab  2 blobs, 2.0 KiB",
    "  sha256:abababababab  1.0 KiB  fetched",
    "  sha256:abababababab  1.0 KiB  held",
    "1 image: 1 blobs came (1.0 KiB), 1 were there (1.0 KiB), 1.2 s",
    "",
  ]);
  const [asked] = seen;
  assert.deepEqual([asked?.method, asked?.url], ["POST", "/admin/v1/warm"]);
  assert.deepEqual(JSON.parse(asked?.body ?? ""), { images: ["alpine:3"], platforms: ["linux/arm64", "linux/amd64"] });
});

test("warm --json is the node's lines as they are", async (t) => {
  const { url } = await startNode(t, { body: linesOf(steps), type });
  const { code, out } = await pullring("warm", "alpine:3", "--json", "--admin", url);
  assert.deepEqual([code, out], [0, linesOf(steps)]);
});

test("warm ends with 5 where an image is not whole, and with 1 where the answer broke off", async (t) => {
  const failed = { step: "failed", image: "docker.io/library/none:1", error: "missing: not there" };
  const partly = await startNode(t, { body: linesOf([failed, { ...steps.at(-1), failed: 1 }]), type });
  const end = await pullring("warm", "none:1", "--admin", partly.url);
  assert.equal(end.code, 5);
  assert.match(end.out, /^docker\.io\/library\/none:1 {2}missing: not there$/m);
  const broken = await startNode(t, { body: linesOf(steps.slice(0, 3)), type });
  const cut = await pullring("warm", "alpine:3", "--admin", broken.url);
  assert.equal(cut.code, 1);
  assert.match(cut.err, /run it again to go on/);
  assert.equal((await pullring("warm", "--admin", broken.url)).code, 2);
});

test("each verb's help has its usage, what it shares with others, and examples that call it", async () => {
  for (const verb of ["warm", "images", "cache", "config", "purge", "preview", "owner", "drain", "fills"]) {
    const { code, out } = await pullring(verb, "--help");
    assert.equal(code, 0);
    assert.match(out, new RegExp(`^ {2}pullring ${verb}`, "m"));
    assert.match(out, new RegExp(`^ {2}\\$ pullring ${verb}`, "m"));
    assert.match(out, /--token-file/);
    assert.equal((await pullring("help", verb)).out, out);
  }
});
