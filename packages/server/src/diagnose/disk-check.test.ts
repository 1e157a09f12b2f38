import assert from "node:assert/strict";
import { mkdtempDisposable, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { diskCheck } from "./disk-check.ts";

const gib = 1024 ** 3;
const space = (freeGib: number, wholeGib: number) => () =>
  Promise.resolve({ bsize: 4096, bavail: (freeGib * gib) / 4096, blocks: (wholeGib * gib) / 4096 });

test("a folder with room is fine, there or not yet, and nothing is left in it", async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-disk-"));
  for (const path of [dir.path, join(dir.path, "not/yet")]) {
    const { status } = await diskCheck({ path, sizeBytesMax: gib, statfs: space(10, 100) }).run();
    assert.equal(status, "ok");
  }
  assert.equal((await diskCheck({ path: dir.path, sizeBytesMax: 1 }).run()).status, "ok");
  assert.deepEqual(await readdir(dir.path), []);
});

test("a disk that is full fails; a size that can't fit is warned of", async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-disk-"));
  const found = (path: string, sizeGib: number, free: number, whole: number) =>
    diskCheck({ path, sizeBytesMax: sizeGib * gib, statfs: space(free, whole) }).run();
  assert.equal((await found(dir.path, 10, 0.5, 100)).status, "fail");
  assert.equal((await found(dir.path, 200, 50, 100)).status, "warn");
  // What is missing of a cache that has begun may be what it holds.
  assert.equal((await found(dir.path, 80, 50, 100)).status, "ok");
  assert.equal((await found(join(dir.path, "new"), 80, 50, 100)).status, "warn");
});

test("a place that can't be written fails, with what comes of it", async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-disk-"));
  const file = join(dir.path, "file");
  await writeFile(file, "");
  const { status, found, advice } = await diskCheck({ path: file, sizeBytesMax: 1 }).run();
  assert.deepEqual([status, found], ["fail", `${file} can't be written (ENOTDIR)`]);
  assert.match(advice ?? "", /memory only/);
});
