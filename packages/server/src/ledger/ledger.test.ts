import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, get, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { bytesBody, type Body, type RecordKey } from "@pullring/core";
import { memoryRecords, eventually } from "@pullring/testkit";

import { systemClock } from "../clock.ts";
import { loadConfig } from "../config/index.ts";
import { makeByteMover } from "../http/byte-mover.ts";
import type { Exchange } from "../http/exchange.ts";
import { Responder } from "../http/respond.ts";
import { StartError } from "../start-error.ts";
import { openLedger, type Ledger } from "./ledger.ts";
import type { LedgerLine } from "./lines.ts";

const repository = { upstream: "docker.io", name: "library/app" };
const bytes = Buffer.alloc(100_000, "pullring");
const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const at = (line: LedgerLine): number => line.at;

async function open(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "pullring-ledger-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, "ledger");
  const readFile = (): Promise<string> => Promise.resolve(JSON.stringify({ ledger: { path } }));
  const config = await loadConfig({ file: "c.yaml", env: {}, readFile, hostname: "n1" });
  const ledger = openLedger(config, systemClock);
  assert.ok(ledger);
  t.after(() => ledger.close());
  const file = (): string => join(path, readdirSync(path)[0] ?? "");
  const lines = (): LedgerLine[] =>
    readFileSync(file(), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as LedgerLine);
  return { ledger, file, lines };
}

interface Serving {
  readonly method?: "GET" | "HEAD";
  readonly body?: Body;
  readonly range?: string;
  readonly digest?: string;
}

/** One request that is answered with the body as a blob is; resolves when its exchange is over. */
async function serve(ledger: Ledger, { method = "GET", body = fileless(bytes), range, ...of }: Serving): Promise<void> {
  const responder = new Responder(
    makeByteMover(() => undefined),
    () => 0,
  );
  const ended = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    const exchange: Exchange = {
      request,
      response,
      id: "r1",
      target: "",
      startedMs: 0,
      client: { address: "" },
      route: "blob",
      repository,
      reference: digest,
      tier: "disk",
      outcome: "ok",
      access: "linked",
      bytes: 0,
    };
    const representation = { digest: (of.digest ?? digest) as never, mediaType: "a/b", headers: {}, body };
    ledger.serve(exchange, () => responder.sendBody(exchange, representation)).then(ended.resolve, ended.reject);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const headers = range === undefined ? {} : { range };
  const answered = Promise.withResolvers<IncomingMessage>();
  get({ host: "127.0.0.1", port, method, headers, agent: false }, answered.resolve);
  (await answered.promise).on("error", () => {}).resume();
  await ended.promise;
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

/** Bytes that are moved, not sent with their head; from `failsAt` on there are none. */
const fileless = (from: Buffer, failsAt = Infinity): Body => ({
  size: from.length,
  next: (offset, end) =>
    offset >= failsAt
      ? Promise.reject(new Error("the fill failed"))
      : { bytes: from.subarray(offset, Math.min(end, offset + 30_000, failsAt)) },
  close: () => {},
});

const hashOf = (part: Buffer): string => `sha256:${createHash("sha256").update(part).digest("hex")}`;

async function responseTo(t: TestContext, serving: Serving) {
  const { ledger, lines } = await open(t);
  await serve(ledger, serving);
  await ledger.close();
  const line = lines().find(({ kind }) => kind === "response");
  assert.equal(line?.kind, "response");
  return line;
}

test("a whole response is written down with the hash of what left", async (t) => {
  for (const body of [fileless(bytes), bytesBody(bytes)]) {
    const line = await responseTo(t, { body });
    const { id, method, route, upstream, repository: name, status, tier, access } = line;
    assert.deepEqual(
      [id, method, route, upstream, name, status, tier, access],
      ["r1", "GET", "blob", "docker.io", "library/app", 200, "disk", "linked"],
    );
    const { first, size, promised, sent, end, last, hash } = line;
    assert.deepEqual([first, size, promised, sent, end, last], [0, 100_000, 100_000, 100_000, "clean", true]);
    assert.equal(hash, digest);
  }
});

test("wrong bytes have their own hash, whatever digest they are sent under", async (t) => {
  const wrong = Buffer.from(bytes);
  wrong[99_999] = 0;
  const line = await responseTo(t, { body: fileless(wrong) });
  assert.deepEqual([line.digest, line.hash], [digest, hashOf(wrong)]);
});

test("a part is written down with where it lies", async (t) => {
  const line = await responseTo(t, { range: "bytes=60000-" });
  const { status, first, size, promised, sent, last, hash } = line;
  assert.deepEqual([status, first, size, promised, sent, last], [206, 60_000, 100_000, 40_000, 40_000, true]);
  assert.equal(hash, hashOf(bytes.subarray(60_000)));
  const inner = await responseTo(t, { range: "bytes=5-9" });
  assert.deepEqual([inner.first, inner.sent, inner.last], [5, 5, false]);
});

test("a response that was cut is told from one that ended", async (t) => {
  const line = await responseTo(t, { body: fileless(bytes, 45_000) });
  assert.deepEqual([line.sent, line.promised, line.end, line.last], [45_000, 100_000, "cut", false]);
});

test("a HEAD has no bytes and no hash", async (t) => {
  const line = await responseTo(t, { method: "HEAD" });
  assert.deepEqual([line.method, line.sent, line.hash, line.last], ["HEAD", 0, undefined, false]);
});

test("a sha512 digest is proved by sha512", async (t) => {
  const sha512 = `sha512:${createHash("sha512").update(bytes).digest("hex")}`;
  assert.equal((await responseTo(t, { digest: sha512 })).hash, sha512);
});

test("a request upstream names the client's request that it was for", async (t) => {
  const { ledger, lines } = await open(t);
  const ask = { upstream: "docker.io", kind: "blob_get", lane: "a", method: "GET", origin: "http://a" } as const;
  const body: Body = {
    ...fileless(bytes),
    async next() {
      await Promise.resolve();
      ledger.onWire({ ...ask, errand: 1, hop: 0, credentials: true })({
        status: 200,
        bytes: 7,
        tells: [],
        isBroken: true,
      });
      return { bytes };
    },
  };
  await serve(ledger, { body });
  ledger.onWire({ ...ask, errand: 2, hop: 0, credentials: false });
  await ledger.close();
  const [first, answer, , second] = lines().slice(1);
  assert.ok(first?.kind === "ask" && answer?.kind === "answer" && second?.kind === "ask");
  assert.deepEqual([first.causeId, first.causeMethod, first.credentials], ["r1", "GET", true]);
  assert.deepEqual([answer.n, answer.status, answer.bytes, answer.broken], [first.n, 200, 7, true]);
  assert.deepEqual([second.causeId, second.n], [undefined, 2]);
});

test("a link is told when it is written or found, once; what is no link is not", async (t) => {
  const { ledger, lines } = await open(t);
  const records = ledger.records(memoryRecords());
  const link: RecordKey = { repository, kind: "link", name: digest };
  await records.get(link);
  for (const _ of [1, 2]) await records.put(link, { kind: "blob", access: "linked" });
  await records.put({ ...link, kind: "tag" }, { digest });
  await records.get(link);
  await ledger.close();
  const told = lines().filter(({ kind }) => kind === "link");
  assert.equal(told.length, 1);
  assert.ok(told[0]?.kind === "link" && told[0].access === "linked" && told[0].digest === digest);
});

test("the first line names the node and its hosts, the last that it stopped; meanwhile it shows signs of life", async (t) => {
  const { ledger, file, lines } = await open(t);
  assert.equal(lines()[0]?.kind, "start");
  await eventually(() => lines().some(({ kind }) => kind === "beat"), { timeoutMs: 10_000 });
  await ledger.close();
  await ledger.close();
  ledger.observe({ kind: "gone", digest, why: "purged" });
  const [start, ...more] = lines();
  assert.ok(start?.kind === "start" && start.node === "n1" && start.version === 1);
  const hub = start.upstreams.find(({ name }) => name === "docker.io");
  assert.deepEqual(hub?.tokenOrigins, ["https://auth.docker.io"]);
  assert.equal(more.at(-1)?.kind, "stop");
  assert.deepEqual(
    more.map(at),
    more.map(at).toSorted((a, b) => a - b),
  );
  assert.match(file(), /\/n1-\d{8}T\d{9}Z-\d+\.ndjson$/);
  assert.equal(statSync(file()).mode & 0o7, 0, "nobody else reads it");
});

test("a directory that can't be used stops the start, and names the key", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "pullring-ledger-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, "file");
  writeFileSync(path, "");
  const readFile = (): Promise<string> => Promise.resolve(JSON.stringify({ ledger: { path } }));
  const config = await loadConfig({ file: "c.yaml", env: {}, readFile, hostname: "n1" });
  assert.throws(
    () => openLedger(config, systemClock),
    (error) => error instanceof StartError && error.message.startsWith("ledger.path: "),
  );
});
