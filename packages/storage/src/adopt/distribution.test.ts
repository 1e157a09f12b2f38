import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtempDisposable, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { suite, test } from "node:test";

import type { Digest } from "@pullring/oci";

import { directoryTree } from "./directory-tree.ts";
import { readDistribution } from "./distribution.ts";

const digestOf = (text: string): Digest => `sha256:${createHash("sha256").update(text).digest("hex")}` as Digest;
const root = "docker/registry/v2";
const dataOf = (digest: Digest): string => `${root}/blobs/sha256/${digest.slice(7, 9)}/${digest.slice(7)}/data`;

async function all<T>(rows: AsyncIterable<T>): Promise<readonly T[]> {
  const found: T[] = [];
  for await (const row of rows) found.push(row);
  return found;
}

async function put(base: string, path: string, text: string): Promise<string> {
  const file = join(base, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  return file;
}

async function folders() {
  const folder = await mkdtempDisposable(join(tmpdir(), "pullring-adopt-"));
  return { folder, from: join(folder.path, "from") };
}

suite("what a Distribution registry keeps", () => {
  test("is found by its layout, and nothing else is", async () => {
    const { folder, from } = await folders();
    await using _ = folder;
    const [blob, other] = [digestOf("blob"), digestOf("other")];
    await put(from, dataOf(blob), "blob");
    await put(from, `${root}/blobs/sha256/ab/nothex/data`, "");
    await put(from, `${root}/blobs/md5/ab/${"a".repeat(32)}/data`, "");
    const repository = `${root}/repositories/library/app`;
    await put(from, `${repository}/_manifests/revisions/sha256/${blob.slice(7)}/link`, blob);
    await put(from, `${repository}/_manifests/tags/1.0/current/link`, `${blob}\n`);
    await put(from, `${repository}/_manifests/tags/1.0/index/sha256/${other.slice(7)}/link`, other);
    await put(from, `${repository}/_manifests/tags/bad tag/current/link`, blob);
    await put(from, `${repository}/_manifests/tags/empty/current/link`, "");
    await put(from, `${repository}/_layers/sha256/${other.slice(7)}/link`, other);
    await put(from, `${repository}/_uploads/0e1f/startedat`, "2026");
    await put(from, `${root}/repositories/Not A Name/_layers/sha256/${other.slice(7)}/link`, other);
    await symlink("/etc", join(from, root, "repositories/library/loop"));
    const source = readDistribution(directoryTree(from));
    const blobs = await all(source.blobs());
    assert.deepEqual(
      blobs.map(({ digest, size, path }) => [digest, size, path]),
      [[blob, 4, dataOf(blob)]],
    );
    const links = await all(source.links());
    const told = links.map(({ kind, repository: name, digest }) => `${kind} ${name} ${digest}`).sort();
    assert.deepEqual(told, [`blob library/app ${other}`, `manifest library/app ${blob}`, `tag library/app ${blob}`]);
    assert.equal(links.find(({ kind }) => kind === "tag")?.kind, "tag");
  });

  test("is nothing where there is no registry", async () => {
    const { folder, from } = await folders();
    await using _ = folder;
    const source = readDistribution(directoryTree(from));
    assert.deepEqual([await all(source.blobs()), await all(source.links())], [[], []]);
  });
});
