import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, unlinkSync } from "node:fs";
import { utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { test, type TestContext } from "node:test";

import type { Digest } from "@pullring/oci";
import { appendAll, blobStoreSuite, eventually, keep, readBody, sampleBytes, sampleDigest } from "@pullring/testkit";
import { spoolSuite, virtualClock, type VirtualClock } from "@pullring/testkit";

import { openDisk, type Disk, type DiskOptions } from "./disk.ts";
import { nodeFs, type Fs } from "./fs.ts";

const gib = 1024 ** 3;

function quietLog() {
  const messages: string[] = [];
  const note = (_facts: object, message: string): void => void messages.push(message);
  return { info: note, warn: note, messages };
}

const newFolder = (): string => mkdtempSync(`${tmpdir()}/pullring-storage-`);

interface Bench {
  readonly path: string;
  readonly clock: VirtualClock;
  readonly log: ReturnType<typeof quietLog>;
  readonly open: (options?: Partial<DiskOptions>) => Promise<Disk>;
}

/** A folder for one test; disks opened on it are closed with it. */
function bench(t: TestContext): Bench {
  const path = newFolder();
  const clock = virtualClock(Date.now());
  const log = quietLog();
  const disks: Disk[] = [];
  t.after(async () => {
    await Promise.all(disks.map((disk) => disk.close()));
    rmSync(path, { recursive: true });
  });
  return {
    path,
    clock,
    log,
    async open(options = {}) {
      const disk = await openDisk({ path, sizeBytesMax: gib, log, clock, isPinned: () => false, ...options });
      disks.push(disk);
      return disk;
    },
  };
}

const blobFile = (path: string, digest: Digest): string => `${path}/v1/blobs/${digest.replace(":", "/")}`;
const names = (path: string): string[] =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
const errno = (code: string): Error => Object.assign(new Error(code), { code });

async function readBack(disk: Disk, digest: Digest): Promise<Buffer | undefined> {
  const stored = await disk.open(digest);
  const bytes = stored && (await readBody(stored.body));
  stored?.body.close();
  return bytes;
}

const openForSuite = async (): Promise<{ store: Disk; close: () => Promise<void> }> => {
  const path = newFolder();
  const store = await openDisk({
    path,
    sizeBytesMax: gib,
    log: quietLog(),
    clock: virtualClock(Date.now()),
    isPinned: () => false,
  });
  const close = async (): Promise<void> => {
    await store.close();
    rmSync(path, { recursive: true });
  };
  return { store, close };
};

blobStoreSuite({ name: "disk", open: openForSuite });
spoolSuite({
  name: "disk",
  async open() {
    const { store, close } = await openForSuite();
    return { spool: (digest, onGrow) => store.spool(digest, { onGrow }), close };
  },
});

test("blobs, their sizes, their access and the order of their use survive a restart", async (t) => {
  const { open, path, clock } = bench(t);
  const first = await open();
  const [a, b, c] = [1, 2, 3].map((seed) => sampleBytes(100_000, seed)) as [Buffer, Buffer, Buffer];
  const digests = [await keep(first, a, "linked"), await keep(first, b), await keep(first, c)] as const;
  for (const [index, digest] of digests.entries()) utimesSync(blobFile(path, digest), index, 1_000_000 + index);
  await first.close();

  const second = await open();
  assert.equal(second.objects(), 3);
  assert.equal(second.bytes(), 300_000);
  assert.equal(second.stat(digests[0])?.access, "linked");
  assert.equal(second.stat(digests[1])?.access, "public");
  assert.deepEqual(await readBack(second, digests[0]), a);
  await second.close();
  assert.ok(statSync(blobFile(path, digests[0])).mtimeMs >= clock.now() - 1);

  const third = await open({ sizeBytesMax: 300_000 });
  await keep(third, sampleBytes(1_000, 4));
  assert.deepEqual(
    digests.map((digest) => third.stat(digest) !== undefined),
    [true, false, true],
    "the one that nobody used for longest went first",
  );
});

test("the use of a blob is written down at most once an hour", async (t) => {
  const { open, clock } = bench(t);
  let written = 0;
  const utimes: Fs["utimes"] = (path, seconds) => {
    written += 1;
    return nodeFs.utimes(path, seconds);
  };
  const disk = await open({ fs: { ...nodeFs, utimes } });
  const digest = await keep(disk, sampleBytes(10));
  for (let hits = 0; hits < 5; hits += 1) await readBack(disk, digest);
  assert.equal(written, 0, "it was written just now");
  await clock.advance(3_600_000);
  for (let hits = 0; hits < 5; hits += 1) await readBack(disk, digest);
  assert.equal(written, 1);
});

test("leftovers of a crash are removed at the start, and what can't be a blob is no blob", async (t) => {
  const { open, path } = bench(t);
  const digest = await keep(await open(), sampleBytes(10));
  const hex = digest.slice(7);
  writeFileSync(`${path}/v1/spool/leftover`, "half a blob");
  writeFileSync(`${path}/v1/blobs/sha256/${hex.toUpperCase()}`, "not a name");
  writeFileSync(`${path}/v1/blobs/sha256/${hex}.tmp`, "not a name");
  writeFileSync(`${path}/v1/public/sha256/${"0".repeat(64)}`, "");
  mkdirSync(`${path}/v1/blobs/sha256/folder`);
  const disk = await open();
  assert.equal(disk.objects(), 1);
  assert.deepEqual(names(path).sort(), [hex, hex]);
});

test("a lost marker makes a public blob linked, never the other way round", async (t) => {
  const { open, path } = bench(t);
  const disk = await open();
  const open1 = await keep(disk, sampleBytes(10, 1));
  const account = await keep(disk, sampleBytes(10, 2), "linked");
  unlinkSync(`${path}/v1/public/${open1.replace(":", "/")}`);
  const again = await open();
  assert.equal(again.stat(open1)?.access, "linked");
  assert.equal(again.stat(account)?.access, "linked");
});

test("the size is a bound: the least recently used go, pinned ones and open ones do not", async (t) => {
  const { open, path } = bench(t);
  const pinned = sampleDigest(sampleBytes(100_000, 0));
  const evicted: Digest[] = [];
  const disk = await open({
    sizeBytesMax: 1_000_000,
    isPinned: (digest) => digest === pinned,
    onEvict: (digest) => evicted.push(digest),
  });
  await keep(disk, sampleBytes(100_000, 0));
  const reading = await disk.open(await keep(disk, sampleBytes(100_000, 1)));
  const used = await keep(disk, sampleBytes(100_000, 2));
  for (let seed = 3; seed < 40; seed += 1) {
    await keep(disk, sampleBytes(100_000, seed));
    assert.ok(await readBack(disk, used));
    assert.ok(disk.bytes() <= 1_000_000);
  }
  assert.ok(disk.stat(pinned));
  assert.ok(evicted.length > 20 && !evicted.includes(used));
  const onDisk = (): number =>
    readdirSync(`${path}/v1/blobs/sha256`).reduce((sum, n) => sum + statSync(`${path}/v1/blobs/sha256/${n}`).size, 0);
  assert.ok(onDisk() <= 1_000_000, String(onDisk()));
  assert.ok(reading);
  assert.deepEqual(await readBody(reading.body), sampleBytes(100_000, 1), "eviction under a reader is harmless");
  reading.body.close();
});

test("growing spools count towards the size, and one that does not fit goes on in memory", async (t) => {
  const { open, path } = bench(t);
  const disk = await open({ sizeBytesMax: 1_000_000 });
  const old = await keep(disk, sampleBytes(600_000, 1));
  const bytes = sampleBytes(3_000_000, 2);
  const spool = await disk.spool(sampleDigest(bytes), { onGrow: () => {} });
  await appendAll(spool, bytes.subarray(0, 500_000));
  await eventually(() => spool.end === 500_000);
  assert.equal(disk.stat(old), undefined, "the old blob made room");
  assert.equal(disk.bytes(), 500_000);
  await appendAll(spool, bytes.subarray(500_000));
  assert.equal(await spool.finish(), sampleDigest(bytes));
  assert.equal(await spool.settle({ keep: "public" }), false);
  assert.deepEqual(names(`${path}/v1`), []);
  assert.equal(disk.bytes(), 0);
});

test("all readers of a blob share one descriptor, and a hit opens nothing", async (t) => {
  const { open } = bench(t);
  let opened = 0;
  const counting: Fs["open"] = (path, flags) => {
    opened += 1;
    return nodeFs.open(path, flags);
  };
  const digest = await keep(await open(), sampleBytes(10_000));
  const disk = await open({ fs: { ...nodeFs, open: counting } });
  const before = opened;
  const readers = await Promise.all(Array.from({ length: 64 }, () => disk.open(digest)));
  const segments = await Promise.all(readers.map(async (reader) => reader?.body.next(0, 10_000)));
  assert.equal(new Set(segments.map((segment) => segment && "fd" in segment && segment.fd)).size, 1);
  assert.deepEqual(segments[0], { ...segments[0], position: 0, length: 10_000 });
  for (const reader of readers) reader?.body.close();
  assert.ok(await readBack(disk, digest));
  assert.equal(opened - before, 1);
});

test("a blob that is shorter than it was is a miss before anything is promised, and is told", async (t) => {
  const { open, path } = bench(t);
  const digest = await keep(await open(), sampleBytes(10_000));
  const told: string[] = [];
  const disk = await open({ onMismatch: (_digest, detail) => told.push(detail) });
  truncateSync(blobFile(path, digest), 9_999);
  assert.equal(await disk.open(digest), undefined);
  assert.equal(disk.stat(digest), undefined);
  assert.equal(told.length, 1);
  await disk.close();
  assert.deepEqual(names(path), []);
});

test("a manifest that rotted on the disk is never handed out", async (t) => {
  const { open, path } = bench(t);
  const bytes = sampleBytes(10_000);
  const digest = await keep(await open(), bytes);
  const told: Digest[] = [];
  const disk = await open({ onMismatch: (found) => told.push(found) });
  const rotten = Buffer.from(bytes);
  rotten[5_000] = (rotten[5_000] ?? 0) ^ 1;
  writeFileSync(blobFile(path, digest), rotten);
  assert.equal(await disk.read(digest), undefined);
  assert.equal(disk.stat(digest), undefined);
  assert.deepEqual(told, [digest]);
});

test("nothing above 4 MiB is read whole", async (t) => {
  const disk = await bench(t).open();
  const digest = await keep(disk, sampleBytes(4 * 1024 * 1024 + 1));
  assert.equal(await disk.read(digest), undefined);
  assert.ok(disk.stat(digest));
});

for (const code of ["EIO", "ENOENT", "EACCES"])
  test(`a blob that can't be opened (${code}) is a miss from then on`, async (t) => {
    const { open, log } = bench(t);
    const digest = await keep(await open(), sampleBytes(10));
    const failing: Fs["open"] = (path, flags) =>
      path.includes("/blobs/") && flags === "r" ? Promise.reject(errno(code)) : nodeFs.open(path, flags);
    const disk = await open({ fs: { ...nodeFs, open: failing } });
    assert.equal(await disk.open(digest), undefined);
    assert.equal(disk.stat(digest), undefined);
    assert.ok(log.messages.some((message) => message.includes("not what it was")));
  });

test("too many open files is no miss: the blob stays, the request is told to come back", async (t) => {
  const { open } = bench(t);
  const bytes = sampleBytes(10);
  const digest = await keep(await open(), bytes);
  let exhausted = true;
  const failing: Fs["open"] = (path, flags) =>
    exhausted && path.includes("/blobs/") ? Promise.reject(errno("EMFILE")) : nodeFs.open(path, flags);
  const disk = await open({ fs: { ...nodeFs, open: failing } });
  await assert.rejects(disk.open(digest), { name: "PullringError", code: "busy" });
  assert.ok(disk.stat(digest));
  exhausted = false;
  assert.deepEqual(await readBack(disk, digest), bytes);
});

for (const code of ["EROFS", "EACCES"])
  test(`a path that can't be written at the start (${code}) means running without a disk`, async (t) => {
    const { open, log } = bench(t);
    const mkdir: Fs["mkdir"] = () => Promise.reject(errno(code));
    const disk = await open({ fs: { ...nodeFs, mkdir } });
    assert.equal(disk.diskless, code);
    assert.ok(log.messages.some((message) => message.includes("running without")));
    const bytes = sampleBytes(100_000);
    const digest = sampleDigest(bytes);
    const spool = await disk.spool(digest, { onGrow: () => {} });
    await spool.append(bytes);
    assert.equal(await spool.finish(), digest);
    assert.equal(await spool.settle({ keep: "public" }), false);
    assert.equal(await disk.open(digest), undefined);
    assert.deepEqual([disk.bytes(), disk.objects()], [0, 0]);
  });

test("a removed blob takes its marker along, and one brought back by an account is linked", async (t) => {
  const { open, path } = bench(t);
  const disk = await open();
  const bytes = sampleBytes(10);
  const digest = await keep(disk, bytes, "public");
  await disk.remove(digest);
  assert.deepEqual(names(path), []);
  await keep(disk, bytes, "linked");
  assert.equal((await open()).stat(digest)?.access, "linked");
});

test("a file at a final path was synced before it got its name", async (t) => {
  const { open } = bench(t);
  const calls: string[] = [];
  const fs: Fs = {
    ...nodeFs,
    fsync: (fd) => nodeFs.fsync(fd).then(() => void calls.push("fsync")),
    writeFile: (path, text) => nodeFs.writeFile(path, text).then(() => void calls.push("marker")),
    rename: (from, to) => nodeFs.rename(from, to).then(() => void calls.push("rename")),
  };
  await keep(await open({ fs }), sampleBytes(10));
  assert.deepEqual(calls, ["fsync", "marker", "rename", "fsync"]);
});

test("what the disk holds is what an OCI image layout would hold", async (t) => {
  const { open, path } = bench(t);
  const bytes = sampleBytes(1_000);
  const digest = await keep(await open(), bytes);
  assert.deepEqual(readFileSync(`${path}/v1/blobs/sha256/${digest.slice(7)}`), bytes);
});

test("a blob evicted while a second fill publishes it is there afterwards", async (t) => {
  const { open, path } = bench(t);
  const gate = Promise.withResolvers<void>();
  let gated = false;
  const fsync: Fs["fsync"] = (fd) => (gated ? gate.promise : nodeFs.fsync(fd));
  const disk = await open({ sizeBytesMax: 1_000_000, fs: { ...nodeFs, fsync } });
  const bytes = sampleBytes(400_000, 1);
  const digest = await keep(disk, bytes);
  const again = await disk.spool(digest, { onGrow: () => {} });
  await again.append(bytes);
  await again.finish();
  gated = true;
  const kept = again.settle({ keep: "public" });
  const other = await disk.spool(sampleDigest(sampleBytes(10)), { onGrow: () => {} });
  await appendAll(other, sampleBytes(300_000, 2));
  await eventually(() => disk.stat(digest) === undefined);
  gate.resolve();
  assert.equal(await kept, true);
  await other.settle("drop");
  await disk.close();
  assert.deepEqual(readFileSync(blobFile(path, digest)), bytes);
});

test("a look at a small blob is no use of it: it stays the next to go", async (t) => {
  const { open } = bench(t);
  const disk = await open({ sizeBytesMax: 1_000 });
  const [first, second] = [sampleBytes(400, 1), sampleBytes(400, 2)];
  const digests = [await keep(disk, first), await keep(disk, second)];
  assert.deepEqual(await disk.peek(digests[0] as Digest), first);
  await keep(disk, sampleBytes(400, 3));
  assert.deepEqual(
    digests.map((digest) => disk.stat(digest) !== undefined),
    [false, true],
  );
  assert.equal(await disk.peek(digests[0] as Digest), undefined);
});
