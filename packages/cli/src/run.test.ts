import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { pullring, startNode, type Scripted } from "./test-node.ts";

const node = { url: "http://n1:5002", weight: 1, state: "active", benched: false };
const ringAnswer = {
  epoch: "0123456789abcdef",
  algorithm: "ketama",
  points: 480,
  self: "n1",
  nodes: [
    { ...node, id: "n1", ringName: "n1:5000", share: 0.3333, lastSeenMs: 0 },
    { ...node, id: "n2", ringName: "n2:5000", weight: 2, share: 0.6667, lastSeenMs: 1_240, benched: true },
  ],
};

test("ring is a table of nodes with their shares", async (t) => {
  const { url, seen } = await startNode(t, { body: ringAnswer });
  const { code, out, err } = await pullring("ring", "--admin", url);
  assert.deepEqual([code, err], [0, ""]);
  assert.deepEqual(out.split("\n"), [
    "epoch 0123456789abcdef, ketama, 480 points, as n1 sees it",
    "",
    "NODE  RING NAME  STATE            WEIGHT   SHARE       SEEN  URL",
    "n1 *  n1:5000    active                1  33.3 %  0.0 s ago  http://n1:5002",
    "n2    n2:5000    active, benched       2  66.7 %  1.2 s ago  http://n1:5002",
    "",
  ]);
  assert.deepEqual(seen, [{ method: "GET", url: "/admin/v1/ring", authorization: undefined, body: "" }]);
});

test("--json is the node's answer as it is, for every verb", async (t) => {
  for (const [words, body] of [
    [["ring"], ringAnswer],
    [["owner", "alpine:3"], { key: "k", hash: 1, owner: "n1", next: [] }],
    [["preview", "--add", "n3"], { moved: 0.25, nodes: [] }],
    [["fills"], { fills: [], missing: [] }],
    [["quota"], { lanes: [], missing: [], at: "2026-01-01T00:00:00Z" }],
    [["purge", "alpine:3"], { purged: "k", at: "2026-01-01T00:00:00Z", nodes: [], s3: "none", missing: [] }],
    [["drain"], { node: "n1", draining: true, told: true }],
  ] as const) {
    const { url } = await startNode(t, { body });
    const { code, out } = await pullring(...words, "--json", "--admin", url);
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse(out), body);
  }
});

test("owner names the owner first; the key travels whole", async (t) => {
  const body = { key: "docker.io/library/alpine:3", hash: 42, owner: "n2", next: ["n1", "n3"] };
  const { url, seen } = await startNode(t, { body });
  const { code, out } = await pullring("owner", "docker.io/alpine:3", "--admin", `${url}/`);
  assert.equal(code, 0);
  assert.equal(out, "n2\n  key   docker.io/library/alpine:3\n  hash  42\n  next  n1, n3\n");
  assert.equal(seen[0]?.url, "/admin/v1/ring/owner?key=docker.io%2Falpine%3A3");
});

test("preview sends what comes and what goes, weights too", async (t) => {
  const body = { moved: 0.2, nodes: [{ id: "n4", before: 0, after: 0.2 }] };
  const { url, seen } = await startNode(t, { body });
  const { out } = await pullring("preview", "--add", "n4", "--add", "n5:2", "--remove", "n1", "--admin", url);
  assert.equal(out, "20.0 % of all keys move\n\nNODE  BEFORE   AFTER\nn4     0.0 %  20.0 %\n");
  assert.deepEqual(JSON.parse(seen[0]?.body ?? ""), { add: [{ id: "n4" }, { id: "n5", weight: 2 }], remove: ["n1"] });
});

const fill = {
  node: "n1",
  digest: `sha256:${"ab".repeat(32)}`,
  repository: "docker.io/library/alpine",
  bytes: 1_572_864,
  total: 3_145_728,
  source: "upstream:docker.io",
  lane: "anonymous@default@n1",
  readers: 3,
  rate: 10_485_760,
};

test("fills show how far they are; a size that is not known yet is no number", async (t) => {
  const body = { fills: [fill, { ...fill, total: null, source: "s3", lane: null }], missing: [] };
  const { url } = await startNode(t, { body });
  const { code, out } = await pullring("fills", "--admin", url);
  assert.equal(code, 0);
  const [, first = "", second = ""] = out.split("\n");
  assert.match(first, /1\.5 MiB +3\.0 MiB, 50\.0 % +upstream:docker\.io anonymous@default@n1 +3 +10\.0 MiB\/s$/);
  assert.match(second, / \? +s3 /);
});

test("nodes that were not reached are named, and the exit code says that something is missing", async (t) => {
  const running = await startNode(t, { body: { fills: [], missing: ["n2", "n3"] } });
  assert.deepEqual(await pullring("fills", "--admin", running.url), {
    code: 5,
    out: "no fills\n",
    err: "not reached: n2, n3\n",
  });
  const purged = { purged: "k", at: "", nodes: [{ node: "n1" }], s3: "purged", missing: ["n2"] };
  const purging = await startNode(t, { body: purged });
  const { code, out, err } = await pullring("purge", "k", "--admin", purging.url);
  assert.deepEqual([code, out, err], [5, "purged k on n1; S3: purged\n", "not reached: n2\n"]);
  const draining = await startNode(t, { body: { node: "n1", draining: true, told: false } });
  assert.deepEqual(await pullring("drain", "--admin", draining.url), {
    code: 5,
    out: "n1 leaves the ring and keeps serving\n",
    err: "the others can't be told yet\n",
  });
  const failing = await startNode(t, { body: { ...purged, s3: "failed", missing: [] } });
  assert.equal((await pullring("purge", "k", "--admin", failing.url)).code, 5);
});

test("--self asks for the fills of one node", async (t) => {
  const { url, seen } = await startNode(t, { body: { fills: [], missing: [] } });
  await pullring("fills", "--self", "--admin", url);
  assert.equal(seen[0]?.url, "/admin/v1/fills?node=self");
});

test("purge takes a digest, a tag, or a repository, by the call that is for it", async (t) => {
  const body = { purged: "k", at: "", nodes: [{ node: "n1" }], s3: "none", missing: [] };
  for (const [what, path] of [
    [fill.digest, `/blobs/${encodeURIComponent(fill.digest)}`],
    ["docker.io/library/alpine:3", "/images/docker.io/library/alpine%3A3"],
    ["registry.local:5000/app", "/images/registry.local%3A5000/app"],
  ] as const) {
    const { url, seen } = await startNode(t, { body });
    assert.equal((await pullring("purge", what, "--admin", url)).code, 0);
    assert.deepEqual([seen[0]?.method, seen[0]?.url], ["DELETE", `/admin/v1${path}`]);
  }
});

test("the token comes from a file and goes as a bearer, without the file's line end", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "pullring-cli-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = join(dir, "token");
  writeFileSync(file, "s3cret\n");
  const { url, seen } = await startNode(t, { body: { node: "n1", draining: true, told: true } });
  const { out } = await pullring("drain", "--token-file", file, "--admin", url);
  assert.equal(out, "n1 leaves the ring and keeps serving\n");
  assert.deepEqual([seen[0]?.method, seen[0]?.authorization], ["POST", "Bearer s3cret"]);
  await pullring("drain", "--undo", "--token-file", file, "--admin", url);
  assert.equal(seen[1]?.method, "DELETE");
});

const problem = (status: number, detail?: string): Scripted => ({
  status,
  type: "application/problem+json",
  body: { title: "Title", status, detail },
});

for (const [what, scripted, code, words] of [
  ["a missing token", problem(401, "the token is missing or wrong"), 4, /the token is missing or wrong \(--token-file/],
  ["a refused change", problem(403, "a foreign Host"), 4, /403 a foreign Host/],
  ["a key that makes no sense", problem(400, "not a tag"), 2, /400 not a tag/],
  ["an upstream that nobody knows", problem(404, "no such upstream here"), 2, /no such upstream/],
  ["a node that has no such call", problem(404), 1, /404 Title/],
  ["a node in no cluster", problem(409, "in no cluster"), 1, /409 in no cluster/],
  ["a node that fails", problem(500), 1, /500 Title/],
  ["a page of something else", { body: "<html>", type: "text/html" }, 1, /does not answer as Pullring's/],
  ["JSON of something else", { body: [] }, 1, /does not answer as Pullring's/],
] as const) {
  test(`${what} ends with exit code ${code} and its reason`, async (t) => {
    const { url } = await startNode(t, scripted);
    const end = await pullring("owner", "k", "--admin", url);
    assert.deepEqual([end.code, end.out], [code, ""]);
    assert.match(end.err, words);
  });
}

test("a node that is not there ends with exit code 3", async (t) => {
  const { url } = await startNode(t, { body: {} });
  const { port } = new URL(url);
  const taken = createServer();
  taken.listen(0, "127.0.0.1");
  await once(taken, "listening");
  const free = (taken.address() as AddressInfo).port;
  taken.close();
  await once(taken, "close");
  assert.notEqual(String(free), port);
  const { code, err } = await pullring("ring", "--admin", `http://127.0.0.1:${free}`);
  assert.equal(code, 3);
  assert.match(err, /can't reach http:\/\/127\.0\.0\.1:\d+: ECONNREFUSED/);
});

for (const words of [
  [],
  ["unknown"],
  ["ring", "--nothing"],
  ["ring", "word"],
  ["owner"],
  ["owner", "a", "b"],
  ["preview"],
  ["preview", "--add", "n1:x"],
  ["purge"],
  ["fills", "n1"],
  ["ring", "--admin", "127.0.0.1:5001"],
  ["ring", "--admin", "http://127.0.0.1:5001/path"],
  ["ring", "--token-file", "/does/not/exist"],
  ["serve", "--nothing"],
]) {
  test(`pullring ${words.join(" ")} is called wrongly: exit code 2, and nothing is asked`, async () => {
    const { code, out, err } = await pullring(...words);
    assert.deepEqual([code, out], [2, ""]);
    assert.notEqual(err, "");
  });
}

test("what is wrong with a call stands in its first line, and the usage of that verb alone behind it", async () => {
  const ends = await Promise.all([pullring("unknown"), pullring("ring", "--nothing"), pullring("serve", "hub.yaml")]);
  assert.deepEqual(
    ends.map(({ err }) => err.split("\n").slice(0, 4)),
    [
      ['pullring: there is no verb "unknown": pullring --help has them all', ""],
      ["pullring: Unknown option '--nothing'", "", "Usage:", "  pullring ring"],
      [
        "pullring: Unexpected argument 'hub.yaml'. This command does not take positional arguments",
        "",
        "Usage:",
        "  pullring serve [--config FILE]",
      ],
    ],
  );
});

test("--help tells every verb and every exit code, and so does the README", async () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  for (const words of [["--help"], ["help"], ["unknown", "--help"]]) {
    const { code, out } = await pullring(...words);
    assert.equal(code, 0);
    const verbs = ["cache", "images", "warm", "config", "quota"];
    for (const verb of [
      ...verbs,
      "serve",
      "client",
      "doctor",
      "ledger",
      "ring",
      "owner",
      "preview",
      "fills",
      "purge",
      "drain",
    ]) {
      assert.match(out, new RegExp(`^ {2}pullring ${verb}`, "m"));
      assert.match(readme, new RegExp(`\`pullring ${verb}`));
    }
    for (let code = 0; code <= 5; code += 1) {
      assert.match(out, new RegExp(`^ {2}${code} {2}\\S`, "m"));
      assert.match(readme, new RegExp(`^\\| ${code} `, "m"));
    }
  }
});

test("the process ends with the code of its command", async () => {
  const main = fileURLToPath(new URL("./main.ts", import.meta.url));
  const child = execFile(process.execPath, [main, "owner"], { timeout: 30_000 });
  const [code] = (await once(child, "exit")) as [number];
  assert.equal(code, 2);
});
