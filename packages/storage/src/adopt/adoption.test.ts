import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { link, mkdir, mkdtempDisposable, readdir, readFile, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";

import type { Digest } from "@pullring/oci";

import { openAdoption } from "./adoption.ts";
import { directoryTree } from "./directory-tree.ts";

const silent = (): void => {};
const log = { info: silent, warn: silent };
const digestOf = (text: string): Digest => `sha256:${createHash("sha256").update(text).digest("hex")}` as Digest;

async function folders() {
  const folder = await mkdtempDisposable(join(tmpdir(), "pullring-adopt-"));
  return { folder, from: join(folder.path, "from"), to: join(folder.path, "to") };
}

suite("adoption", () => {
  async function foundling(from: string, text: string, digest = digestOf(text)) {
    const local = join(from, digest);
    await mkdir(from, { recursive: true });
    await writeFile(local, text);
    await utimes(local, 1_000_000, 1_000_000);
    const tree = directoryTree(from);
    return { digest, size: text.length, usedAt: 1_000_000_000, local, open: () => tree.open(digest) };
  }

  const at = (to: string, digest: Digest): string => join(to, "v1/blobs/sha256", digest.slice(7));
  const spools = (to: string): Promise<string[]> => readdir(join(to, "v1/spool"));

  for (const mayLink of [true, false])
    test(`brings a blob by ${mayLink ? "hard link" : "copy"}, as old as it is, and once`, async () => {
      const { folder, from, to } = await folders();
      await using _ = folder;
      const adoption = await openAdoption({ path: to, sizeBytesMax: 1000, log });
      const blob = await foundling(from, "some bytes");
      assert.equal(await adoption.add(blob, { access: "public", mayLink }), mayLink ? "linked" : "copied");
      assert.equal(await adoption.add(blob, { access: "public", mayLink }), "held");
      assert.equal(await readFile(at(to, blob.digest), "utf8"), "some bytes");
      const [source, own] = [await stat(blob.local), await stat(at(to, blob.digest))];
      assert.equal(source.ino === own.ino, mayLink);
      assert.equal(own.mtimeMs, 1_000_000_000);
      assert.ok(await stat(join(to, "v1/public/sha256", blob.digest.slice(7))));
      assert.deepEqual(await spools(to), []);
      const again = await openAdoption({ path: to, sizeBytesMax: 1000, log });
      assert.deepEqual([again.has(blob.digest), again.bytes()], [true, 10]);
    });

  test("wrong bytes never get a final name, and leave nothing", async () => {
    const { folder, from, to } = await folders();
    await using _ = folder;
    const adoption = await openAdoption({ path: to, sizeBytesMax: 1000, log });
    for (const mayLink of [true, false]) {
      const blob = await foundling(from, "rotten", digestOf("sound"));
      assert.equal(await adoption.add(blob, { access: "linked", mayLink }), "wrong");
      assert.equal(adoption.has(blob.digest), false);
    }
    assert.deepEqual([await readdir(join(to, "v1/blobs/sha256")), await spools(to)], [[], []]);
  });

  test("what would not fit is left out, and what an account had gets no mark of the public", async () => {
    const { folder, from, to } = await folders();
    await using _ = folder;
    const adoption = await openAdoption({ path: to, sizeBytesMax: 10, log });
    const first = await foundling(from, "12345678");
    assert.equal(await adoption.add(first, { access: "linked", mayLink: false }), "copied");
    assert.equal(await adoption.add(await foundling(from, "123"), { access: "linked", mayLink: false }), "full");
    assert.deepEqual(await readdir(join(to, "v1/public/sha256")), []);
    assert.equal(adoption.bytes(), 8);
  });

  test("a copy is made where no link can be", async () => {
    const { folder, from, to } = await folders();
    await using _ = folder;
    const adoption = await openAdoption({ path: to, sizeBytesMax: 1000, log });
    const blob = await foundling(from, "elsewhere");
    // /proc is another file system on every Linux.
    const far = { ...blob, local: "/proc/self/status" };
    await assert.rejects(link(far.local, join(folder.path, "x")), { code: "EXDEV" });
    assert.equal(await adoption.add(far, { access: "linked", mayLink: true }), "copied");
    assert.equal(await readFile(at(to, blob.digest), "utf8"), "elsewhere");
  });
});
