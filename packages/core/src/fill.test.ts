import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import type { Digest } from "@pullring/oci";
import { memoryBlobStore, virtualClock } from "@pullring/testkit";

import { PullringError } from "./errors.ts";
import type { FillSource } from "./fill-source.ts";
import { Fill, type FillEnd } from "./fill.ts";
import { limits } from "./limits.ts";
import type { Place } from "./places.ts";
import type { BlobRequest, BlobSink, Body } from "./ports.ts";

const lane = { name: "anonymous@default@n1", access: "public" as const };
const repository = { upstream: "docker.io", name: "library/a" };
const big = Buffer.alloc(1024 * 1024, "0123456789abcdef");
const digestOf = (bytes: Buffer): Digest => `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest;
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A fill whose upstream the test plays by hand. */
function begin(options: { digest?: Digest; sizeExpected?: number; place?: Place; isToKeep?: boolean } = {}) {
  const clock = virtualClock();
  const store = memoryBlobStore();
  const { isToKeep = true } = options;
  let passes = false;
  async function openSpool(onGrow: () => void) {
    const spool = await store.spool(digest, { onGrow });
    spool.pass = () => void (passes = true);
    return { spool, onGrow, brought: new Map<string, Place>() };
  }
  const digest = options.digest ?? digestOf(big);
  const asked: BlobRequest[] = [];
  const requests: { request: BlobRequest; sink: BlobSink; end: (error?: Error) => void }[] = [];
  const fill = new Fill({
    digest,
    repository,
    ...(options.sizeExpected === undefined ? {} : { sizeExpected: options.sizeExpected }),
    openSource(onAsk) {
      const get: FillSource["get"] = (request, sink) => {
        onAsk(options.place ?? { tier: "upstream" });
        asked.push(request);
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        request.signal?.addEventListener("abort", () => reject(request.signal?.reason as Error));
        requests.push({ request, sink, end: (error) => (error ? reject(error) : resolve()) });
        return promise;
      };
      return { get, range: (_place, request, sink) => get(request, sink), claim() {}, close: () => Promise.resolve() };
    },
    clock,
    openSpool,
    isToKeep: () => isToKeep,
  });
  const ended = fill.run();
  return { fill, ended, clock, store, asked, requests, digest, passes: () => passes };
}

type Begun = ReturnType<typeof begin>;

async function upstream({ requests }: Begun, index = 0) {
  for (let turns = 0; requests.length <= index && turns < 100; turns += 1) await settle();
  const found = requests[index];
  assert.ok(found, "upstream was asked");
  const head = (facts: Partial<Parameters<BlobSink["head"]>[0]> = {}): void =>
    found.sink.head({ lane, offset: 0, resumable: true, size: big.length, ...facts });
  return { ...found, head, write: (bytes: Uint8Array) => found.sink.write(bytes) };
}

async function readAll(body: Body, from = 0): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for (let offset = from; offset < body.size;) {
    const segment = await body.next(offset, body.size);
    assert.ok("bytes" in segment);
    parts.push(Buffer.from(segment.bytes));
    offset += segment.bytes.length;
  }
  return Buffer.concat(parts);
}

test("readers follow a fill from its first byte, late ones from byte 0", async () => {
  const begun = begin();
  const { head, write, end } = await upstream(begun);
  head();
  const first = await begun.fill.open();
  assert.equal(first.size, big.length);
  const waiting = first.next(0, first.size);
  await write(big.subarray(0, 500_000));
  const segment = await waiting;
  assert.ok("bytes" in segment && segment.bytes.length > 0);
  const late = await begun.fill.open();
  const bodies = Promise.all([readAll(first), readAll(late)]);
  await write(big.subarray(500_000));
  end();
  for (const bytes of await bodies) assert.ok(bytes.equals(big));
  assert.equal((await begun.ended).state, "done");
  assert.equal(begun.asked.length, 1);
  assert.ok(begun.store.held.get(begun.digest)?.bytes.equals(big));
});

test("the tail is held back until the digest matches", async () => {
  const begun = begin();
  const { head, write, end } = await upstream(begun);
  head();
  await write(big);
  const body = await begun.fill.open();
  const segment = await body.next(0, body.size);
  assert.equal("bytes" in segment && segment.bytes.length, big.length - limits.tailBytes);
  const tail = body.next(big.length - limits.tailBytes, big.length);
  assert.ok(tail instanceof Promise);
  end();
  assert.ok("bytes" in (await tail));
});

test("wrong bytes never reach the end of a body, and nothing is kept", async () => {
  const begun = begin();
  const { head, write, end } = await upstream(begun);
  head();
  const body = await begun.fill.open();
  const wrong = Buffer.from(big);
  wrong[7] = 0;
  const reading = assert.rejects(readAll(body), { code: "corrupt" });
  await write(wrong);
  end();
  await reading;
  assert.equal((await begun.ended).state, "failed");
  assert.equal(begun.store.held.size, 0);
  assert.equal(begun.store.openSpools(), 0);
});

test("a small body promises nothing before its digest matches", async () => {
  const small = Buffer.from("hello");
  const begun = begin({ digest: digestOf(small) });
  const { head, write, end } = await upstream(begun);
  head({ size: small.length });
  let opened = false;
  const opening = begun.fill.open().then((body) => {
    opened = true;
    return body;
  });
  await write(small);
  await settle();
  assert.equal(opened, false);
  end();
  assert.ok((await readAll(await opening)).equals(small));
});

test("a small body with wrong bytes is an error before the status line", async () => {
  const begun = begin({ digest: digestOf(Buffer.from("hello")) });
  const { head, write, end } = await upstream(begun);
  head({ size: 5 });
  const opening = assert.rejects(begun.fill.open(), { code: "corrupt" });
  await write(Buffer.from("jello"));
  end();
  await opening;
});

test("an empty blob is served", async () => {
  const begun = begin({ digest: digestOf(Buffer.alloc(0)) });
  const { head, end } = await upstream(begun);
  head({ size: 0 });
  end();
  assert.equal((await begun.fill.open()).size, 0);
});

test("without a declared size headers wait for the whole, verified body", async () => {
  const begun = begin();
  const { sink, write, end } = await upstream(begun);
  sink.head({ lane, offset: 0, resumable: true });
  const opening = begun.fill.open();
  await write(big);
  end();
  assert.ok((await readAll(await opening)).equals(big));
});

test("a size that is not the manifest's is refused at once", async () => {
  const begun = begin({ sizeExpected: 5 });
  const { requests } = begun;
  for (let turns = 0; requests.length === 0 && turns < 100; turns += 1) await settle();
  assert.throws(() => requests[0]?.sink.head({ lane, offset: 0, resumable: true, size: 6 }), { code: "corrupt" });
});

test("every waiter gets the error of a fill that never began", async () => {
  const begun = begin();
  const opening = Array.from({ length: 5 }, () => assert.rejects(begun.fill.open(), { code: "missing" }));
  const { end } = await upstream(begun);
  end(new PullringError("missing", "no such blob"));
  await Promise.all(opening);
});

test("a fill that nobody reads stops after its patience, and keeps its spool for the next", async () => {
  const huge = limits.fillRestBytesMax * 3;
  const begun = begin();
  const { head, write } = await upstream(begun);
  head({ size: huge });
  await write(big);
  (await begun.fill.open()).close();
  await begun.clock.advance(limits.fillIdleMs);
  const end: FillEnd = await begun.ended;
  assert.ok(end.state === "stopped" && end.spool?.end === big.length);
});

test("a reader that comes back in time keeps the fill going", async () => {
  const begun = begin();
  const { head, write } = await upstream(begun);
  head({ size: limits.fillRestBytesMax * 3 });
  await write(big);
  (await begun.fill.open()).close();
  await begun.clock.advance(limits.fillIdleMs - 1);
  const body = await begun.fill.open();
  await begun.clock.advance(limits.fillIdleMs * 2);
  assert.equal(begun.requests[0]?.request.signal?.aborted, false);
  body.close();
  begun.fill.stop();
  await begun.ended;
});

test("a fill that nobody reads goes on when upstream takes no ranges, or when little is left", async () => {
  for (const facts of [{ size: limits.fillRestBytesMax * 3, resumable: false }, { size: limits.fillRestBytesMax }]) {
    const begun = begin();
    const { head, write } = await upstream(begun);
    head(facts);
    await write(big);
    (await begun.fill.open()).close();
    await begun.clock.advance(limits.fillIdleMs * 2);
    assert.equal(begun.requests[0]?.request.signal?.aborted, false);
    begun.fill.stop();
    await begun.ended;
  }
});

test("a range far ahead is fetched directly, once at a time, and never up to the last byte", async () => {
  const size = limits.fillRestBytesMax * 10;
  const begun = begin();
  const { head, write } = await upstream(begun);
  head({ size });
  await write(big);
  await begun.clock.advance(60_000);
  const body = await begun.fill.open();
  const far = body.next(size / 2, size / 2 + 1_000);
  const direct = await upstream(begun, 1);
  assert.deepEqual([direct.request.offset, direct.request.end], [size / 2, size / 2 + 1_000]);
  direct.head({ offset: size / 2, size });
  await direct.write(Buffer.alloc(1_000, 7));
  direct.end();
  const segment = await far;
  assert.ok("bytes" in segment && segment.bytes.length === 1_000 && segment.bytes[0] === 7);
  const last = body.next(size - 1_000, size);
  await settle();
  assert.equal(begun.asked.length, 2);
  begun.fill.stop();
  await assert.rejects(Promise.resolve(last), { code: "unavailable" });
});

for (const [what, isToKeep, facts, passes] of [
  ["rests at a peer and is not to be kept", false, { whole: true }, true],
  ["is to be kept", true, { whole: true }, false],
  ["a peer is still fetching", false, { whole: false }, false],
  ["comes from upstream", false, {}, false],
  ["is small enough to stay whole for who joins", false, { whole: true, size: limits.passBytesMin }, false],
] as const)
  test(`a blob that ${what} ${passes ? "only passes" : "goes by the disk"}`, async () => {
    const begun = begin({ isToKeep });
    const { head, end } = await upstream(begun);
    head({ size: limits.passBytesMin + 1, ...facts });
    assert.equal(begun.passes(), passes);
    end(new PullringError("corrupt", "enough"));
    await begun.ended;
  });
