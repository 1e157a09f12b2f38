import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtempDisposable, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { promisify } from "node:util";

import { ask } from "@pullring/testkit";

import { keptFiles, wrongFiles } from "../real/disk.ts";
import { pull } from "../real/http.ts";
import { openRaw } from "./raw.ts";
import { scrape } from "./metrics.ts";
import { type Rig, startRig } from "./rig.ts";

const run = promisify(execFile);
const MB = 1_000_000;
const MiB = 1024 * 1024;

/** What lies under a folder now, in bytes of files. */
async function bytesUnder(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sizes = entries
    .filter((entry) => entry.isFile())
    // A file may go between the listing and the look.
    .map((entry) =>
      stat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

const addBlobs = ({ hub }: Rig, repository: string, { count, size }: { count: number; size: number }) =>
  Array.from({ length: count }, () => hub.content.addBlob({ repository, size }));

const isRoot = process.getuid?.() === 0;

/** Puts a small file system where the disk will be. */
const mountDisk = (options: string) => async (dir: string) => {
  const disk = join(dir, "disk");
  await mkdir(disk);
  await run("mount", ["-t", "tmpfs", "-o", options, "tmpfs", disk]);
  return () => run("umount", [disk]);
};

async function whyNoMount(): Promise<string | false> {
  try {
    await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-mount-"));
    await (
      await mountDisk("size=1m")(dir.path)
    )();
    return false;
  } catch {
    return "needs the right to mount a small file system";
  }
}
const noMount = await whyNoMount();

describe("the disk", { concurrency: true }, () => {
  test("eviction keeps the disk within its size while ten times as much is pulled, and leaves alone what is pinned", async () => {
    const diskBytes = 8 * MiB;
    const size = 2 * MB;
    const storage = { memory: 0, disk: { size: diskBytes }, pin: ["docker.io/library/pinned:*"] };
    await using rig = await startRig({ config: { storage, tags: { fresh: "1h" } } });
    const { hub, pullring } = rig;
    const pinned = hub.content.addImage({ repository: "library/pinned", tag: "1", layers: [1 * MB, 1000] });
    const pullPinned = async (): Promise<void> => {
      assert.equal((await pull(rig.manifest("library/pinned", "1"))).digest, pinned.digest);
      for (const { digest } of [pinned.config, ...pinned.layers])
        assert.equal((await pull(rig.blob("library/pinned", digest))).digest, digest);
    };
    await pullPinned();
    const asked = hub.ledger.count({ repository: "library/pinned" });
    const blobs = addBlobs(rig, "acme/many", { count: Math.ceil((10 * diskBytes) / size), size });
    // Too much for the buffers between both processes.
    const slow = hub.content.addBlob({ repository: "acme/slow", size: 6 * MB });
    const isEvicted = new AbortController();
    const reading = openRaw(rig.blob("acme/slow", slow.digest), {
      readBytes: 64 * 1024,
      take: () => isEvicted.signal.aborted,
    });
    await reading.head;
    await hub.ledger.until({ repository: "acme/slow", kind: "cdn_get", done: true });
    let most = 0;
    for (const { digest } of blobs) {
      assert.equal((await pull(rig.blob("acme/many", digest))).digest, digest);
      most = Math.max(most, await bytesUnder(join(pullring.disk, "v1", "blobs")));
    }
    assert.ok(most <= diskBytes, `${most} bytes`);
    const { sum } = await scrape(pullring);
    assert.ok(sum("pullring_evictions_total", { tier: "disk" }) >= blobs.length - diskBytes / size);
    assert.ok(sum("pullring_tier_bytes", { tier: "disk" }) <= diskBytes);
    await pullPinned();
    assert.equal(hub.ledger.count({ repository: "library/pinned" }), asked);
    // Whoever read a blob that was evicted meanwhile reads it to its end.
    assert.ok((await keptFiles(pullring.disk)).every(({ name }) => name !== slow.digest));
    isEvicted.abort();
    reading.resume();
    const { end, bytes } = await reading.answer;
    assert.deepEqual([end, bytes], ["whole", slow.size]);
  });

  test("a blob that is bigger than the disk goes through", async () => {
    await using rig = await startRig({ config: { storage: { disk: { size: 2 * MiB } } } });
    const [blob] = addBlobs(rig, "acme/big", { count: 1, size: 8 * MB });
    assert.ok(blob);
    const pulls = Array.from({ length: 5 }, () => pull(rig.blob("acme/big", blob.digest)));
    for (const { digest } of await Promise.all(pulls)) assert.equal(digest, blob.digest);
    assert.deepEqual(await keptFiles(rig.pullring.disk), []);
    assert.ok((await bytesUnder(rig.pullring.disk)) <= 2 * MiB);
  });

  test("a disk that is full lets pulls through, and keeps again when it is not", { skip: noMount }, async () => {
    await using rig = await startRig({ prepare: mountDisk("size=20m") });
    const { hub, pullring } = rig;
    const image = hub.content.addImage({ repository: "library/full", tag: "1", layers: [3 * MB, 1000] });
    const pullImage = async (): Promise<void> => {
      assert.equal((await pull(rig.manifest("library/full", "1"))).digest, image.digest);
      for (const { digest } of [image.config, ...image.layers])
        assert.equal((await pull(rig.blob("library/full", digest))).digest, digest);
    };
    // Not a byte left, and nothing that could make room.
    const filler = join(pullring.disk, "filler");
    await assert.rejects(writeFile(filler, Buffer.alloc(30 * MB)), { code: "ENOSPC" });
    await pullImage();
    assert.deepEqual(await keptFiles(pullring.disk), []);
    assert.equal((await ask(`${pullring.url}/readyz`)).status, 200);

    await rm(filler);
    await pullImage();
    assert.ok((await keptFiles(pullring.disk)).some(({ name }) => name === image.layers[0]?.digest));

    // More than there is room for, at once and one after the other.
    const [big] = addBlobs(rig, "acme/big", { count: 1, size: 40 * MB });
    assert.ok(big);
    const pulls = Array.from({ length: 3 }, () => pull(rig.blob("acme/big", big.digest)));
    for (const { digest } of await Promise.all(pulls)) assert.equal(digest, big.digest);
    for (const { digest } of addBlobs(rig, "acme/many", { count: 12, size: 3 * MB }))
      assert.equal((await pull(rig.blob("acme/many", digest))).digest, digest);
    const kept = await keptFiles(pullring.disk);
    assert.ok(kept.length > 0);
    assert.deepEqual(wrongFiles(kept), []);
  });

  test(
    "a disk that can't be written to is none: the node says so, and pulls go through",
    { skip: isRoot && noMount },
    async () => {
      const locked = async (dir: string) => {
        await mkdir(join(dir, "disk"), { mode: 0o555 });
        return () => chmod(join(dir, "disk"), 0o755);
      };
      await using rig = await startRig({ prepare: isRoot ? mountDisk("size=1m,ro") : locked });
      const { hub, pullring } = rig;
      const { status, body } = await ask(`${pullring.adminUrl}/readyz`);
      assert.equal(status, 200);
      assert.match(body.toString(), /^degraded: no disk: E(?:ROFS|ACCES)\n$/);
      assert.equal((await ask(`${pullring.url}/readyz`)).body.toString(), "degraded\n");
      const image = hub.content.addImage({ repository: "library/app", tag: "1", layers: [3 * MB, 1000] });
      for (let round = 0; round < 2; round++) {
        assert.equal((await pull(rig.manifest("library/app", "1"))).digest, image.digest);
        for (const { digest } of [image.config, ...image.layers])
          assert.equal((await pull(rig.blob("library/app", digest))).digest, digest);
      }
      // What is small stays in memory.
      assert.equal(hub.ledger.count({ kind: "manifest_get" }), 1);
    },
  );
});
