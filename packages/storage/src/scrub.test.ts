import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { test, type TestContext } from "node:test";

import type { Digest } from "@pullring/oci";
import { eventually, keep, sampleBytes, virtualClock } from "@pullring/testkit";

import { openDisk } from "./disk.ts";
import { nodeFs } from "./fs.ts";
import { limits } from "./limits.ts";

async function bench(t: TestContext) {
  const path = mkdtempSync(`${tmpdir()}/pullring-scrub-`);
  const clock = virtualClock();
  const rotten: Digest[] = [];
  const opened: string[] = [];
  const common = { path, sizeBytesMax: 1024 ** 3, clock, isPinned: () => false, log: { info() {}, warn() {} } };
  const first = await openDisk(common);
  const digests = [await keep(first, sampleBytes(9_000_000, 1)), await keep(first, sampleBytes(700_000, 2))] as const;
  await first.close();
  const open = (file: string, flags: string): Promise<number> => {
    opened.push(file);
    return nodeFs.open(file, flags);
  };
  const disk = await openDisk({ ...common, onMismatch: (digest) => rotten.push(digest), fs: { ...nodeFs, open } });
  t.after(async () => {
    await disk.close();
    rmSync(path, { recursive: true });
  });
  const fileOf = (digest: Digest): string => `${path}/v1/blobs/${digest.replace(":", "/")}`;
  const flip = (digest: Digest): void => {
    const bytes = readFileSync(fileOf(digest));
    bytes[600_000] = (bytes[600_000] ?? 0) ^ 1;
    writeFileSync(fileOf(digest), bytes);
  };
  const timesRead = (digest: Digest): number => opened.filter((file) => file === fileOf(digest)).length;
  /** Moves time on until the condition holds. */
  const until = (condition: () => boolean): Promise<unknown> =>
    eventually(async () => {
      await clock.advance(limits.scrubStepMs);
      return condition();
    });
  return { disk, clock, digests, flip, rotten, until, timesRead };
}

test("a large blob that rotted at rest is found after a restart, removed and told", async (t) => {
  const { disk, clock, digests, flip, rotten, until } = await bench(t);
  flip(digests[0]);
  await clock.advance(limits.scrubPauseMs);
  await until(() => rotten.length > 0);
  assert.deepEqual(rotten, [digests[0]]);
  assert.equal(disk.stat(digests[0]), undefined);
  assert.ok(disk.stat(digests[1]));
});

test("a blob that is well stays, and is not read again before a week is over", async (t) => {
  const { disk, clock, digests, flip, rotten, until, timesRead } = await bench(t);
  const fresh = await keep(disk, sampleBytes(700_000, 3));
  await clock.advance(limits.scrubPauseMs);
  await until(() => timesRead(digests[0]) === 1 && timesRead(digests[1]) === 1);
  await clock.advance(limits.scrubPauseMs * 3);
  await clock.advance(limits.scrubPauseMs * 3);
  assert.deepEqual([timesRead(digests[0]), timesRead(digests[1]), timesRead(fresh)], [1, 1, 0]);
  assert.equal(disk.objects(), 3);
  flip(fresh);
  await clock.advance(limits.scrubAgeMs);
  await until(() => rotten.length > 0);
  assert.deepEqual(rotten, [fresh]);
});
