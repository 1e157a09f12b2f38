import assert from "node:assert/strict";
import { closeSync, fstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, test } from "node:test";

import { PullringError } from "@pullring/core";
import type { Digest } from "@pullring/oci";
import { appendAll, follow, keep, openGrown, readBody, sampleBytes, sampleDigest } from "@pullring/testkit";
import { virtualClock } from "@pullring/testkit";

import { openDisk, type Disk } from "./disk.ts";
import { nodeFs, type Fs } from "./fs.ts";
import { makeHashing } from "./hashing.ts";

// The n-th call to the file system fails, for n = 1, 2, … until everything passes without reaching it; after each round the folder
// must hold nothing at a final path that does not hash to its name, and readers must have had the right bytes or an error.
// (SQLite tests its I/O errors so: https://sqlite.org/testing.html, section 3.2.)

const hashing = makeHashing();
const shared = { ...hashing, close: () => Promise.resolve() };
after(() => hashing.close());

const quiet = { info: () => {}, warn: () => {} };
const folder = (): string => mkdtempSync(`${tmpdir()}/pullring-faults-`);
const [large, small, next] = [sampleBytes(400_000, 1), sampleBytes(5_000, 2), sampleBytes(300_000, 3)];

const open = (path: string, fs: Fs): Promise<Disk> =>
  openDisk({
    path,
    // Room for two of the three: the third evicts.
    sizeBytesMax: 550_000,
    log: quiet,
    clock: virtualClock(),
    isPinned: () => false,
    fs,
    hashing: shared,
  });

async function readIfHeld(disk: Disk, bytes: Buffer): Promise<void> {
  const stored = await disk.open(sampleDigest(bytes)).catch(orBusy);
  if (stored) assert.ok((await readBody(stored.body)).equals(bytes));
  stored?.body.close();
  const whole = await disk.read(sampleDigest(bytes)).catch(orBusy);
  if (whole) assert.ok(whole.bytes.equals(bytes));
}

function orBusy(error: unknown): undefined {
  assert.ok(error instanceof PullringError && error.code === "busy", String(error));
}

async function fillAndFollow(disk: Disk, bytes: Buffer): Promise<void> {
  const grown = await openGrown((onGrow) => disk.spool(sampleDigest(bytes), { onGrow }));
  const reader = grown.spool.reader(0);
  const [found] = await Promise.all([follow(grown, reader, bytes.length), appendAll(grown.spool, bytes)]);
  assert.ok(found.equals(bytes), "a reader of the spool gets the right bytes");
  assert.equal(await grown.spool.finish(), sampleDigest(bytes));
  const late = grown.spool.start === 0 ? grown.spool.reader(0) : undefined;
  await grown.spool.settle({ keep: "public" });
  if (late) assert.ok((await follow(grown, late, bytes.length)).equals(bytes));
  late?.close();
  reader.close();
}

/** All that a disk does in its life. */
async function life(path: string, fs: Fs): Promise<void> {
  const disk = await open(path, fs);
  await fillAndFollow(disk, large);
  await readIfHeld(disk, large);
  const wrong = await disk.spool(sampleDigest(small), { onGrow: () => {} });
  await wrong.append(small.subarray(1));
  assert.notEqual(await wrong.finish(), sampleDigest(small));
  await wrong.settle("drop");
  await fillAndFollow(disk, small);
  await readIfHeld(disk, small);
  await fillAndFollow(disk, next);
  await disk.remove(sampleDigest(small));
  assert.equal(disk.stat(sampleDigest(small)), undefined);
  await readIfHeld(disk, next);
  assert.ok(disk.bytes() <= 550_000);
  await disk.close();
}

function assertOnlyVerified(path: string): void {
  for (const algorithm of ["sha256", "sha512"] as const) {
    const blobs = `${path}/v1/blobs/${algorithm}`;
    for (const name of namesIn(blobs))
      assert.equal(sampleDigest(readFileSync(`${blobs}/${name}`), algorithm), `${algorithm}:${name}` as Digest);
  }
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** After the fault: a new start finds nothing wrong, leaves nothing behind and works. */
async function assertRecovers(path: string): Promise<void> {
  const disk = await open(path, nodeFs);
  assert.equal(disk.diskless, undefined);
  assert.deepEqual(namesIn(`${path}/v1/spool`), []);
  assertOnlyVerified(path);
  await readIfHeld(disk, large);
  await readIfHeld(disk, next);
  const digest = await keep(disk, small);
  assert.ok(disk.stat(digest));
  await disk.close();
}

type Call = (...args: unknown[]) => Promise<unknown>;
type Fault = (name: string, call: () => Promise<unknown>, args: readonly unknown[]) => Promise<unknown>;

interface Faulty {
  readonly fs: Fs;
  readonly calls: () => number;
}

/** The real file system, but for its n-th call. */
function faulty(n: number, fault: Fault, base = nodeFs): Faulty {
  let calls = 0;
  const fs = wrapAll(base, (name, call, args) => {
    calls += 1;
    return calls === n ? fault(name, call, args) : call();
  });
  return { fs, calls: () => calls };
}

const wrapAll = (fs: Fs, around: Fault): Fs =>
  Object.fromEntries(
    Object.entries(fs).map(([name, call]): [string, Call] => [
      name,
      (...args) => around(name, () => (call as unknown as Call)(...args), args),
    ]),
  ) as unknown as Fs;

const failing =
  (code: string): Fault =>
  async (name, call) => {
    // A close that fails has closed.
    if (name === "close") await call();
    throw Object.assign(new Error(`${code} at ${name}`), { code });
  };

const short: Fault = async (name, call, args) => {
  if (name !== "write") return call();
  const [fd, chunks, position] = args as Parameters<Fs["write"]>;
  const whole = Buffer.concat(chunks);
  return nodeFs.write(fd, [whole.subarray(0, Math.ceil(whole.length / 2))], position);
};

for (const [name, fault] of Object.entries({
  EIO: failing("EIO"),
  ENOSPC: failing("ENOSPC"),
  EACCES: failing("EACCES"),
  EMFILE: failing("EMFILE"),
  "short write": short,
}))
  test(`${name} at any one call: right bytes or an error, and nothing unverified at a final path`, async () => {
    let reached = true;
    for (let n = 1; reached; n += 1) {
      const path = folder();
      const { fs, calls } = faulty(n, fault);
      await life(path, fs);
      assertOnlyVerified(path);
      await assertRecovers(path);
      rmSync(path, { recursive: true });
      reached = calls() >= n;
      assert.ok(n < 1_000);
    }
  });

/** The real file system, and what a power cut would find: files not synced, descriptors open, calls at work. */
function watched() {
  const unsynced = new Set<number>();
  const open = new Set<number>();
  const running = new Set<Promise<unknown>>();
  const fs = wrapAll(nodeFs, async (name, call, args) => {
    const run = call();
    running.add(run);
    try {
      const value = await run;
      if (name === "open") {
        open.add(value as number);
        if (args[1] === "wx+") unsynced.add(fstatSync(value as number).ino);
      }
      if (name === "fsync") unsynced.delete(fstatSync(args[0] as number).ino);
      if (name === "close") open.delete(args[0] as number);
      return value;
    } finally {
      running.delete(run);
    }
  });
  return { fs, unsynced, open, running };
}

/** Stops the world at the n-th call, as a power cut does: what was not synced is lost, whatever its name is by then. */
function powerCut(n: number, done: boolean) {
  const cut = Promise.withResolvers<void>();
  const never = new Promise<never>(() => {});
  const real = watched();
  let dead = false;
  const { fs, calls } = faulty(
    n,
    async (_name, call) => {
      if (done) await call();
      dead = true;
      cut.resolve();
      return never;
    },
    real.fs,
  );
  const stopping = wrapAll(fs, async (_name, call) => {
    if (dead) return never;
    const value = await call();
    return dead ? never : value;
  });
  async function lose(path: string): Promise<void> {
    await Promise.allSettled(real.running);
    for (const sub of ["spool", "blobs/sha256", "blobs/sha512"])
      for (const name of namesIn(`${path}/v1/${sub}`)) {
        const file = `${path}/v1/${sub}/${name}`;
        if (real.unsynced.has(statSync(file).ino)) truncateSync(file, statSync(file).size >> 1);
      }
    for (const fd of real.open) closeSync(fd);
  }
  return { fs: stopping, calls, cut: cut.promise, lose };
}

for (const done of [false, true])
  test(`a power cut ${done ? "after" : "before"} any one call: the next start finds whole blobs only`, async () => {
    let reached = true;
    for (let n = 1; reached; n += 1) {
      const path = folder();
      const { fs, calls, cut, lose } = powerCut(n, done);
      await Promise.race([life(path, fs), cut]);
      reached = calls() >= n;
      await lose(path);
      await assertRecovers(path);
      rmSync(path, { recursive: true });
      assert.ok(n < 1_000);
    }
  });
