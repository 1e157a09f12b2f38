import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { eventually } from "@pullring/testkit";

import { asDockerHub } from "../real/pullring.ts";
import { type Sample, scrape } from "./metrics.ts";
import { askRaw, openRaw, type RawAnswer, type RawOptions } from "./raw.ts";
import { type Rig, startRig } from "./rig.ts";

const secrets = {
  account: "canary-account-41c7",
  client: "canary-client-5d0e",
  wrong: "canary-wrong-9b12",
  bearer: "canary-bearer-77aa",
  query: "canary-query-c3f0",
};
/** bcrypt of `secrets.client`, at the least cost. */
const htpasswd = "ci:$2b$04$rbarAYYCs6VCcZ6EvnfJqeggG00oZlHtSmdr.NhpNMYLM8JVFvDpa\n";
const basic = (password: string): string => `Basic ${Buffer.from(`ci:${password}`).toString("base64")}`;
const login = { authorization: basic(secrets.client) };

interface LogLine {
  readonly msg: string;
  readonly time: string;
  readonly level: string;
  readonly client: string;
  readonly user?: string;
  readonly method: string;
  readonly upstream?: string;
  readonly name?: string;
  readonly reference?: string;
  readonly route: string;
  readonly tier: string;
  readonly outcome: string;
  readonly status: number;
  readonly bytes: number;
  readonly ms: number;
  readonly requestId: string;
}

let rig: Rig;
const answers: RawAnswer[] = [];

/** One request of the workload, as whoever may come in unless told otherwise. */
async function ask(path: string, { headers, ...options }: Omit<RawOptions, "take"> = {}): Promise<RawAnswer> {
  const answer = await askRaw(rig.pullring.url + path, { ...options, headers: { ...login, ...headers } });
  answers.push(answer);
  return answer;
}

const times = <T>(count: number, make: () => Promise<T>): Promise<readonly T[]> =>
  Promise.all(Array.from({ length: count }, make));

async function pulls(): Promise<void> {
  const { content, faults } = rig.hub;
  const repository = "library/app";
  const index = content.addIndex({ repository, tag: "1", platforms: ["linux/amd64"], layers: [900_000, 1000] });
  const image = index.images["linux/amd64"];
  assert.ok(image);
  const [layer, small] = image.layers;
  assert.ok(layer && small);
  const manifest = `/v2/app/manifests/1`;
  const blob = `/v2/${repository}/blobs/${layer.digest}`;
  // Slow enough for the others to join it.
  faults.add({ kind: "cdn_get", reference: layer.digest }, { dripBytesPerSec: 2_000_000 });
  await times(8, () => ask(manifest));
  await ask(`/v2/${repository}/manifests/${image.digest}`);
  await times(6, () => ask(blob));
  await ask(`/v2/docker.io/app/blobs/${small.digest}?ns=docker.io`);
  for (const path of [manifest, blob]) {
    await ask(path);
    await ask(path, { method: "HEAD" });
    await ask(path, { headers: { range: "bytes=1-9" } });
    await ask(path, { headers: { range: "bytes=1-9,20-29" } });
    await ask(path, { headers: { range: "bytes=9000000-" } });
    await ask(path, { headers: { "if-none-match": `"${path === blob ? layer.digest : index.digest}"` } });
  }
  await ask(`/v2/${repository}/tags/list?n=1`);
  await ask(`/v2/${repository}/referrers/${index.digest}`);
}

/** What nobody should do, or may. */
async function mistakes(): Promise<void> {
  for (const path of ["/v2/", "/v2", "/"]) for (const method of ["GET", "HEAD", "POST"]) await ask(path, { method });
  for (const path of [
    "/v2/app/manifests/none",
    "/v2/acme/none/manifests/1",
    `/v2/app/blobs/sha256:${"0".repeat(64)}`,
    "/v2/app/blobs/sha256:short",
    "/v2/App/manifests/1",
    "/v2/app/manifests/-",
    "/v2/app/blobs/uploads/",
    "/v2/app/manifests/1?ns=unknown.test",
    "/unknown.test/v2/app/manifests/1",
    "/v2/denied/app/manifests/1",
    `/v2/app/manifests/1?token=${secrets.query}`,
    `/v2/%2e%2e/manifests/1?password=${secrets.query}`,
  ])
    await ask(path);
  await ask("/v2/app/manifests/1", { headers: { "x-request-id": "from-a-balancer.7" } });
  await ask("/v2/app/manifests/1", { headers: { "x-request-id": 'not an id "' } });
  await ask("/v2/app/manifests/1", { headers: { authorization: "" } });
  await ask("/v2/app/manifests/1", { headers: { authorization: `Bearer ${secrets.bearer}` } });
  for (let tries = 0; tries < 12; tries++)
    await ask("/v2/app/manifests/1", { headers: { authorization: basic(`${secrets.wrong}-${tries}`) } });
}

async function failures(): Promise<void> {
  const { content, faults, knobs } = rig.hub;
  const size = 900_000;
  const corrupt = content.addBlob({ repository: "acme/corrupt", size });
  faults.add({ kind: "cdn_get", reference: corrupt.digest, times: "always" }, { corruptAt: 500_000 });
  for (let tries = 0; tries < 2; tries++) await ask(`/v2/acme/corrupt/blobs/${corrupt.digest}`);
  const left = content.addBlob({ repository: "acme/left", size });
  faults.add({ kind: "cdn_get", reference: left.digest }, { dripBytesPerSec: 1_000_000 });
  const leaving = openRaw(rig.blob("acme/left", left.digest), { headers: login, take: () => leaving.leave() });
  answers.push(await leaving.answer);
  faults.add({ kind: "manifest_head", reference: "1", times: "always" }, { status: 502 });
  await ask("/v2/app/manifests/1");
  await ask("/v2/app/manifests/1", { method: "HEAD" });
  knobs.abuse = { retryAfterSec: 60, bareLf: false, text: "Too Many Requests" };
  for (const path of ["/v2/app/manifests/1", "/v2/app/manifests/2", `/v2/acme/left/blobs/sha256:${"1".repeat(64)}`])
    await ask(path);
}

const requestLines = (): readonly LogLine[] =>
  rig.pullring
    .logs()
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as LogLine)
    .filter(({ msg }) => msg === "request");

before(async () => {
  const { account: password } = secrets;
  rig = await startRig({
    hub: { accounts: [{ username: "ci", password }] },
    config: (hub, dir) => ({
      upstreams: asDockerHub(hub),
      accounts: [{ name: "ci", upstream: "docker.io", username: "ci", password }],
      tags: { fresh: "0s" },
      clients: {
        auth: { htpasswdFile: join(dir, "htpasswd") },
        rules: [{ match: "docker.io/denied/**", deny: true }],
      },
    }),
    files: { htpasswd },
  });
  await pulls();
  await mistakes();
  await failures();
  await eventually(() => requestLines().length >= answers.length);
});
after(() => rig[Symbol.asyncDispose]());

const labels = ["route", "tier", "outcome", "upstream"] as const;
const tally = (rows: readonly { readonly key: string; readonly value: number }[]): Record<string, number> => {
  const sums: Record<string, number> = {};
  for (const { key, value } of rows) sums[key] = (sums[key] ?? 0) + value;
  return sums;
};

test("every response is counted once, under one tier and outcome", async () => {
  const { matching, sum } = await scrape(rig.pullring);
  assert.equal(sum("pullring_requests_total"), answers.length);
  assert.equal(sum("pullring_request_seconds_count"), answers.length);
  const keyOf = (facts: Readonly<Record<string, string>>): string => labels.map((label) => facts[label]).join(" ");
  const counted = matching("pullring_requests_total").map(({ labels, value }: Sample) => ({
    key: keyOf(labels),
    value,
  }));
  const logged = requestLines().map(({ route, tier, outcome, upstream = "none" }) => ({
    key: keyOf({ route, tier, outcome, upstream }),
    value: 1,
  }));
  assert.deepEqual(tally(counted), tally(logged));
  const outcomes = new Set(requestLines().map(({ outcome }) => outcome));
  const all = ["ok", "joined", "stale", "not_modified", "missing", "throttled", "denied", "invalid", "failed", "cut"];
  assert.deepEqual(outcomes, new Set(all));
});

test("every response has one log line with the promised fields, which tell what its client saw", () => {
  const lines = requestLines();
  assert.equal(lines.length, answers.length);
  const byId = new Map(lines.map((line) => [line.requestId, line]));
  assert.equal(byId.size, lines.length);
  for (const { headers, status, bytes, end } of answers) {
    const line = byId.get(headers["x-request-id"] ?? "");
    assert.ok(line);
    assert.equal(line.status, status);
    // What was cut had left this process, as far as the client's kernel took it.
    if (end === "whole") assert.equal(line.bytes, bytes, JSON.stringify(line));
    else assert.equal(line.outcome, "cut");
  }
  for (const line of lines) {
    assert.equal(line.client, "127.0.0.1");
    assert.match(line.time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    assert.ok(line.ms >= 0 && line.method !== "" && line.level === "info");
    const names = [line.upstream, line.name, line.reference];
    if (line.upstream === undefined) assert.ok(line.tier === "none", JSON.stringify(line));
    else
      assert.ok(
        names.every((name) => typeof name === "string"),
        JSON.stringify(line),
      );
  }
  assert.ok(byId.has("from-a-balancer.7"));
  assert.ok(lines.some(({ user, outcome }) => user === "ci" && outcome === "ok"));
});

test("bytes, joins, stale answers and requests upstream add up as well", async () => {
  const { ledger } = rig.hub;
  const asked = ledger.count({ origin: ["registry", "token"] });
  // A request upstream is counted at its end, and the fill that its client has left goes on.
  const isCounted = async () => (await scrape(rig.pullring)).sum("pullring_upstream_requests_total") >= asked;
  await eventually(isCounted, { intervalMs: 50 });
  const { sum } = await scrape(rig.pullring);
  const lines = requestLines();
  const sumOf = (tier: string): number =>
    lines.filter((line) => line.tier === tier).reduce((total, { bytes }) => total + bytes, 0);
  for (const tier of ["memory", "disk", "upstream", "none"])
    assert.equal(sum("pullring_bytes_total", { tier }), sumOf(tier), tier);
  assert.ok(sumOf("upstream") > 0 && sumOf("memory") + sumOf("disk") > 0);
  const count = (outcome: string): number => lines.filter((line) => line.outcome === outcome).length;
  assert.ok(count("joined") >= 5);
  assert.ok(sum("pullring_joined_total", { where: "local" }) >= count("joined"));
  assert.equal(sum("pullring_stale_total"), count("stale"));
  assert.equal(sum("pullring_upstream_requests_total"), asked);
  for (const kind of ["manifest_head", "manifest_get", "blob_get"] as const)
    assert.equal(sum("pullring_upstream_requests_total", { kind }), ledger.count({ kind }), kind);
  assert.equal(sum("pullring_digest_mismatch_total", { source: "upstream" }), 1);
  assert.equal(sum("pullring_fill_readers"), 0);
});

test("no secret is in the log or in the metrics", async () => {
  const { text } = await scrape(rig.pullring);
  const told = text + rig.pullring.logs();
  const authorizations = rig.hub.ledger.entries.map(({ headers }) => headers.authorization?.split(" ")[1]);
  const signatures = rig.hub.ledger.entries.map(({ query }) => new URLSearchParams(query).get("verify"));
  const seen = [...authorizations, ...signatures].filter((value): value is string => typeof value === "string");
  assert.ok(seen.length > 3);
  const basics = Object.values(secrets).map((secret) => basic(secret).split(" ")[1] ?? "");
  for (const secret of [...Object.values(secrets), ...basics, ...seen]) assert.ok(!told.includes(secret), secret);
});
