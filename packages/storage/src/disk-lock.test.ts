import assert from "node:assert/strict";
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { lockDisk } from "./disk-lock.ts";

test("a disk has one process, by whatever path it is named, and is free when that lets go", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "pullring-lock-"));
  t.after(() => rm(folder, { recursive: true }));
  await symlink(folder, `${folder}-link`);
  t.after(() => rm(`${folder}-link`));
  const lock = await lockDisk(folder);
  assert.equal(lock !== undefined, process.platform === "linux");
  if (!lock) return;
  await assert.rejects(lockDisk(folder), { code: "EADDRINUSE" });
  await assert.rejects(lockDisk(`${folder}-link`), { code: "EADDRINUSE" });
  await lock.release();
  const again = await lockDisk(folder);
  await again?.release();
});

test("a folder that can't be made is no reason not to start", async () => {
  assert.equal(await lockDisk("/dev/null/here"), undefined);
});
