import assert from "node:assert/strict";
import { test } from "node:test";

import type { BlobHead } from "@pullring/core";
import { digestOf, eventually, virtualClock, type Fault, type Hub } from "@pullring/testkit";

import { digest, failsAs, fetchBlob, hubRig, library, rigFor, scripted } from "./test-rig.ts";

const size = 300_000;
const addBlob = (hub: Hub, bytes = size): string =>
  hub.content.addBlob({ repository: library.name, size: bytes }).digest;
const cdn = { kind: ["cdn_get", "cdn_range"], times: "always" } as const;
const quiet = { head: () => {}, write: () => {} };

test("a whole blob, a rest and a piece are what the digest says", async (t) => {
  const { hub, rig } = await hubRig(t);
  const wanted = addBlob(hub);
  const whole = await fetchBlob(rig, wanted);
  assert.equal(await digestOf(whole.bytes), wanted);
  assert.deepEqual(whole.head, {
    lane: { name: "anonymous@default@n1", access: "public" },
    offset: 0,
    size,
    resumable: true,
  });
  const rest = await fetchBlob(rig, wanted, { offset: 299_999 });
  assert.deepEqual([rest.head.offset, rest.bytes.length], [299_999, 1]);
  const piece = await fetchBlob(rig, wanted, { offset: 10, end: 20 });
  assert.deepEqual([piece.head.offset, piece.head.size, piece.bytes], [10, size, whole.bytes.subarray(10, 20)]);
  const kinds = rig.events.map(({ kind }) => kind).filter((kind) => kind.startsWith("blob"));
  assert.deepEqual(kinds, ["blob_get", "blob_get", "blob_range"]);
});

test("an empty blob and one of a byte are blobs like others", async (t) => {
  const { hub, rig } = await hubRig(t);
  for (const bytes of [0, 1]) {
    const wanted = addBlob(hub, bytes);
    const { head, bytes: found } = await fetchBlob(rig, wanted);
    assert.deepEqual([head.size, await digestOf(found)], [bytes, wanted]);
    assert.equal((await rig.blobs.head(library, digest(wanted))).size, bytes);
  }
});

const broken: Record<string, [Fault, "cut" | "corrupt"]> = {
  "ends early": [{ cutAfterBytes: 1000 }, "cut"],
  "is reset": [{ cutAfterBytes: 1000, cutBy: "rst" }, "cut"],
  "ends early, in chunks": [{ cutAfterBytes: 1000, framing: "chunked" }, "cut"],
  "is shorter than declared": [{ contentLengthDelta: 10 }, "cut"],
  "is gzip-encoded": [{ gzip: true }, "corrupt"],
};

for (const [name, [fault, code]] of Object.entries(broken)) {
  test(`a body that ${name} is ${code}`, async (t) => {
    const { hub, rig } = await hubRig(t);
    const wanted = addBlob(hub);
    hub.faults.add(cdn, fault);
    await assert.rejects(fetchBlob(rig, wanted), failsAs(code));
  });
}

const ranges: Record<string, Fault> = {
  "that begins elsewhere": { contentRange: `bytes 0-299999/${size}` },
  "that begins later": { contentRange: `bytes 101-299999/${size}` },
  "that can't be read": { contentRange: "bytes whatever" },
  "that is missing": { headers: { "content-range": null } },
  "that disagrees with the length": { contentRange: `bytes 100-200/${size}` },
  "beyond the total": { contentRange: "bytes 100-299999/299999" },
};

for (const [name, fault] of Object.entries(ranges)) {
  test(`a 206 with a Content-Range ${name} is corrupt before a byte of it is taken`, async (t) => {
    const { hub, rig } = await hubRig(t);
    const wanted = addBlob(hub);
    hub.faults.add(cdn, fault);
    let touched = false;
    const sink = { head: () => void (touched = true), write: () => void (touched = true) };
    const request = { repository: library, digest: digest(wanted), offset: 100 };
    await assert.rejects(rig.blobs.get(request, sink), failsAs("corrupt"));
    assert.equal(touched, false);
  });
}

test("a whole body in answer to a range says so: offset 0, and no more ranges", async (t) => {
  const { hub, rig } = await hubRig(t);
  const wanted = addBlob(hub);
  hub.faults.add(cdn, { ignoreRange: true });
  const { head, bytes } = await fetchBlob(rig, wanted, { offset: 1000 });
  assert.deepEqual([head.offset, head.size, head.resumable, bytes.length], [0, size, false, size]);
  await assert.rejects(fetchBlob(rig, wanted, { offset: 10, end: 20 }), failsAs("unsupported"));
});

test("a length that upstream does not tell stays unknown", async (t) => {
  const { hub, rig } = await hubRig(t);
  const wanted = addBlob(hub);
  for (const framing of ["chunked", "close"] as const) {
    const rule = hub.faults.add(cdn, { framing });
    const { head, bytes } = await fetchBlob(rig, wanted);
    assert.deepEqual([head.size, bytes.length], [undefined, size]);
    rule.remove();
  }
});

test("a chunked 206 is held to its Content-Range, both ways", async (t) => {
  for (const [sent, code] of [
    [30, "corrupt"],
    [10, "cut"],
  ] as const) {
    const server = await scripted(t, (request, response) => {
      if (request.url === "/v2/") return response.end();
      response.writeHead(206, { "content-range": "bytes 5-24/100", "transfer-encoding": "chunked" });
      return response.end("x".repeat(sent));
    });
    const rig = rigFor(t, server.url);
    const wanted = fetchBlob(rig, `sha256:${"a".repeat(64)}`, { offset: 5, end: 25 });
    await assert.rejects(wanted, failsAs(code));
  }
});

test("a range outside the blob is corrupt", async (t) => {
  const { hub, rig } = await hubRig(t);
  await assert.rejects(fetchBlob(rig, addBlob(hub), { offset: size }), failsAs("corrupt"));
});

test("a signature that has run out is renewed by the registry, once", async (t) => {
  const { hub, rig } = await hubRig(t);
  const wanted = addBlob(hub);
  hub.faults.add({ kind: "cdn_get" }, { status: 403 });
  assert.equal((await fetchBlob(rig, wanted)).bytes.length, size);
  assert.equal(hub.ledger.count({ kind: "blob_get" }), 2);
  hub.faults.add(cdn, { status: 403 });
  await assert.rejects(fetchBlob(rig, wanted), failsAs("unavailable"));
  assert.equal(hub.ledger.count({ kind: "blob_get" }), 4);
});

test("a 5xx or a reset before the head is tried again, twice, and never after it", async (t) => {
  const { hub, rig } = await hubRig(t);
  const wanted = addBlob(hub);
  hub.faults.add({ kind: "blob_get" }, { status: 503 });
  hub.faults.add({ kind: "cdn_get" }, { close: "rst" });
  assert.equal((await fetchBlob(rig, wanted)).bytes.length, size);
  hub.ledger.clear();
  hub.faults.add({ kind: "blob_get", times: "always" }, { status: 502 });
  await assert.rejects(fetchBlob(rig, wanted), failsAs("unavailable", "down"));
  assert.equal(hub.ledger.count({ kind: "blob_get" }), 3);
  hub.faults.clear();
  hub.ledger.clear();
  hub.faults.add(cdn, { cutAfterBytes: 10 });
  await assert.rejects(fetchBlob(rig, wanted), failsAs("cut"));
  assert.equal(hub.ledger.count({ kind: "blob_get" }), 1);
});

test("a HEAD asks no CDN by HEAD, and next time asks for one byte at once", async (t) => {
  const { hub, rig } = await hubRig(t);
  const wanted = digest(addBlob(hub));
  for (let times = 0; times < 2; times += 1) assert.equal((await rig.blobs.head(library, wanted)).size, size);
  assert.equal(hub.ledger.count({ kind: "cdn_head" }), 0);
  const kinds = rig.events.map(({ kind }) => kind).filter((kind) => kind.startsWith("blob"));
  assert.deepEqual(kinds, ["blob_head", "blob_range", "blob_range"]);
});

test("a HEAD that tells the size costs one request, and a missing blob no more", async (t) => {
  const { hub, rig } = await hubRig(t, { hub: { blobHead: "serve" } });
  assert.equal((await rig.blobs.head(library, digest(addBlob(hub)))).size, size);
  await assert.rejects(rig.blobs.head(library, digest(`sha256:${"a".repeat(64)}`)), failsAs("missing", "down"));
  assert.deepEqual([rig.count("blob_head"), rig.count("blob_range")], [2, 0]);
});

test("asking a registry without ranges for the size does not fetch the blob", async (t) => {
  const { hub, rig } = await hubRig(t, { hub: { cdnRanges: false } });
  const wanted = digest(addBlob(hub, 50_000_000));
  assert.equal((await rig.blobs.head(library, wanted)).size, 50_000_000);
  const entry = await eventually(() => hub.ledger.entries.find(({ origin, done }) => origin.startsWith("cdn") && done));
  assert.ok(entry.bytesSent < 50_000_000);
});

test("a slow sink holds upstream back, whatever is on the wire already", async (t) => {
  const { hub, rig } = await hubRig(t);
  const wanted = addBlob(hub, 40_000_000);
  const gate = Promise.withResolvers<void>();
  let received = 0;
  const sink = {
    head: () => {},
    write(chunk: Uint8Array) {
      received += chunk.length;
      return gate.promise;
    },
  };
  const got = rig.blobs.get({ repository: library, digest: digest(wanted), offset: 0 }, sink);
  const entry = await hub.ledger.until({ kind: "cdn_get" });
  await eventually(() => received > 0);
  let sent = -1;
  await eventually(() => sent === (sent = entry.bytesSent) && sent > 0, { intervalMs: 100 });
  assert.ok(entry.bytesSent < 20_000_000 && received < 200_000, `${entry.bytesSent} ${received}`);
  gate.resolve();
  await got;
  assert.equal(received, 40_000_000);
});

test("a sink that throws, or fails later, ends the request with its own error", async (t) => {
  const { hub, rig } = await hubRig(t);
  const request = { repository: library, digest: digest(addBlob(hub)), offset: 0 };
  const boom = new Error("boom");
  const raise = (): never => {
    throw boom;
  };
  await assert.rejects(rig.blobs.get(request, { ...quiet, head: raise }), boom);
  await assert.rejects(rig.blobs.get(request, { ...quiet, write: raise }), boom);
  await assert.rejects(rig.blobs.get(request, { ...quiet, write: () => Promise.reject(boom) }), boom);
  assert.equal(hub.ledger.count({ kind: "blob_get" }), 3);
});

test("a signal ends a request at any moment, and upstream's side of it", async (t) => {
  const { hub, rig } = await hubRig(t, { hub: { responseBytesPerSec: 100_000 } });
  const wanted = addBlob(hub);
  const reason = new Error("enough");
  await assert.rejects(fetchBlob(rig, wanted, { signal: AbortSignal.abort(reason) }), reason);
  assert.equal(hub.ledger.count(), 0);
  const controller = new AbortController();
  const heads: BlobHead[] = [];
  const sink = { head: (head: BlobHead) => void heads.push(head), write: () => controller.abort(reason) };
  const request = { repository: library, digest: digest(wanted), offset: 0, signal: controller.signal };
  await assert.rejects(rig.blobs.get(request, sink), reason);
  assert.equal(heads.length, 1);
  await hub.ledger.until(({ kind, done, bytesSent }) => kind === "cdn_get" && done && bytesSent < size);
});

test("a body that stalls is cut after ten seconds", async (t) => {
  const clock = virtualClock();
  const { hub, rig } = await hubRig(t, { clock });
  const wanted = addBlob(hub);
  hub.faults.add(cdn, { stallAfterBytes: 1000 });
  let received = 0;
  const sink = { ...quiet, write: (chunk: Uint8Array) => void (received += chunk.length) };
  const got = rig.blobs.get({ repository: library, digest: digest(wanted), offset: 0 }, sink);
  const outcome = assert.rejects(got, failsAs("cut"));
  await eventually(() => received === 1000);
  await clock.advance(9_000);
  assert.equal(hub.ledger.count({ origin: ["cdn0", "cdn1"], done: true }), 0);
  await clock.advance(2_000);
  await outcome;
});

test("all bodies of an upstream share its bandwidth", async (t) => {
  const { hub, rig } = await hubRig(t, { upstream: { bandwidthBytesPerSec: 2_000_000 } });
  const [a, b] = [addBlob(hub, 500_000), addBlob(hub, 500_000)];
  const startedMs = performance.now();
  await Promise.all([fetchBlob(rig, a), fetchBlob(rig, b)]);
  const elapsedMs = performance.now() - startedMs;
  assert.ok(elapsedMs > 350 && elapsedMs < 2_000, `${elapsedMs}`);
});
