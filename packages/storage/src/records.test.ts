import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { test, type TestContext } from "node:test";

import type { RecordKey } from "@pullring/core";
import type { Digest } from "@pullring/oci";
import { recordStoreSuite, trickyKeys } from "@pullring/testkit";

import { nodeFs, type Fs } from "./fs.ts";
import { limits } from "./limits.ts";
import { recordPath } from "./record-path.ts";
import { openRecords, type Records } from "./records.ts";

function quietLog() {
  const messages: string[] = [];
  const note = (_facts: object, message: string): void => void messages.push(message);
  return { info: note, warn: note, messages };
}

function bench(t: TestContext) {
  const path = mkdtempSync(`${tmpdir()}/pullring-records-`);
  t.after(() => rmSync(path, { recursive: true }));
  const log = quietLog();
  return {
    path,
    log,
    root: `${path}/v1/repositories`,
    open: (fs: Partial<Fs> = {}) => openRecords({ path, log, fs: { ...nodeFs, ...fs } }),
  };
}

const repository = { upstream: "docker.io", name: "library/alpine" };
const latest: RecordKey = { repository, kind: "tag", name: "latest" };
const page = (n: number): RecordKey => ({ repository, kind: "list", name: `tags?n=${n}` });

async function listed(records: Records, kind: RecordKey["kind"]): Promise<unknown[]> {
  const found: unknown[] = [];
  for await (const { value } of records.list(kind)) found.push(value);
  return found;
}

recordStoreSuite({
  name: "disk",
  async open() {
    const path = mkdtempSync(`${tmpdir()}/pullring-records-`);
    const close = (): Promise<void> => Promise.resolve(rmSync(path, { recursive: true }));
    return { records: await openRecords({ path, log: quietLog() }), close };
  },
});

test("records survive a restart, whatever their keys contain", async (t) => {
  const { open } = bench(t);
  const before = await open();
  for (const [index, key] of trickyKeys.entries()) await before.put(key, { index });
  const after = await open();
  for (const [index, key] of trickyKeys.entries()) assert.deepEqual(await after.get(key), { index });
});

test("all records of a kind are listed with their keys", async (t) => {
  const { open } = bench(t);
  const records = await open();
  for (const [index, key] of trickyKeys.entries()) await records.put(key, { index });
  for (const kind of ["tag", "link", "list"] as const) {
    const wanted = trickyKeys.flatMap((key, index) => (key.kind === kind ? [index] : []));
    const found: number[] = [];
    for await (const { key, value } of (await open()).list(kind)) {
      const { index } = value as { index: number };
      assert.deepEqual(
        { ...key, name: key.name.toWellFormed() },
        {
          ...trickyKeys[index],
          name: trickyKeys[index]?.name.toWellFormed(),
        },
      );
      found.push(index);
    }
    assert.deepEqual(
      found.sort((a, b) => a - b),
      wanted,
    );
  }
});

test("no key leaves the folder of the records", async (t) => {
  const { open, path } = bench(t);
  const records = await open();
  for (const key of trickyKeys) await records.put(key, 1);
  assert.deepEqual(readdirSync(path), ["v1"]);
  assert.deepEqual(readdirSync(`${path}/v1`), ["repositories"]);
  for (const key of trickyKeys) {
    const parts = recordPath(key).split("/");
    assert.ok(parts.every((part) => part !== "" && part !== "." && part !== ".." && Buffer.byteLength(part) <= 255));
    assert.ok(!recordPath(key).includes("\u0000"));
  }
});

test("the layout is what an operator expects", () => {
  const digest = `sha256:${"a".repeat(64)}`;
  assert.equal(recordPath(latest), "docker.io/library/alpine/_tags/latest.json");
  assert.equal(
    recordPath({ repository, kind: "link", name: digest }),
    `docker.io/library/alpine/_links/sha256/${"a".repeat(64)}.json`,
  );
  assert.equal(
    recordPath({ repository: { upstream: "localhost:5000", name: "a" }, kind: "tag", name: "V1_x.y" }),
    "localhost%3A5000/a/_tags/V1_x.y.json",
  );
});

for (const [what, text] of Object.entries({
  "a torn record": '{"key":{"repository":{"upstream":"docker.io","na',
  "an empty record": "",
  "something else": "[]",
  null: "null",
}))
  test(`${what} reads as absent and is removed`, async (t) => {
    const { open, root } = bench(t);
    await (await open()).put(latest, { digest: "sha256:a" });
    const file = `${root}/${recordPath(latest)}`;
    writeFileSync(file, text);
    const records = await open();
    assert.equal(await records.get(latest), undefined);
    assert.ok(!existsSync(file));
    assert.deepEqual(await listed(records, "tag"), []);
    await records.put(latest, 2);
    assert.equal(await (await open()).get(latest), 2);
  });

test("a hit does not touch the disk, and neither does a known absence", async (t) => {
  const { open } = bench(t);
  const records = await (await open()).put(latest, 1).then(() => open());
  let reads = 0;
  const counted = await open({
    readFile: (path) => {
      reads += 1;
      return nodeFs.readFile(path);
    },
  });
  for (let times = 0; times < 3; times += 1) {
    assert.equal(await counted.get(latest), 1);
    assert.equal(await counted.get({ ...latest, name: "absent" }), undefined);
  }
  assert.equal(reads, 2);
  assert.equal(await records.get(latest), 1);
});

test("a value that is there already is not written again", async (t) => {
  const { open } = bench(t);
  let writes = 0;
  const records = await open({
    rename: (from, to) => {
      writes += 1;
      return nodeFs.rename(from, to);
    },
  });
  await records.put(latest, { digest: "sha256:a" });
  await records.put(latest, { digest: "sha256:a" });
  assert.equal(writes, 1 + 1, "once into a folder that was not there, once after it was made");
  await records.put(latest, { digest: "sha256:b" });
  assert.equal(writes, 3);
});

test("leftovers of a crash are removed at the start", async (t) => {
  const { open, root } = bench(t);
  await open();
  writeFileSync(`${root}/_new/leftover`, "{");
  await open();
  assert.deepEqual(readdirSync(`${root}/_new`), []);
});

test("a write that fails leaves the old record whole and nothing else, and is heard of", async (t) => {
  const { open, root, log } = bench(t);
  await (await open()).put(latest, 1);
  const failing = await open({ rename: () => Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" })) });
  await failing.put(latest, 2);
  assert.equal(await failing.get(latest), 2, "this process knows better");
  assert.deepEqual(readdirSync(`${root}/_new`), []);
  assert.ok(log.messages.some((message) => message.includes("can't be written")));
  assert.equal(await (await open()).get(latest), 1);
});

test("a read that fails is absent and is heard of", async (t) => {
  const { open, log } = bench(t);
  await (await open()).put(latest, 1);
  const failing = await open({ readFile: () => Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" })) });
  assert.equal(await failing.get(latest), undefined);
  assert.ok(log.messages.some((message) => message.includes("can't be read")));
});

test("without a disk records last as long as the process", async (t) => {
  const { open, log } = bench(t);
  const records = await open({ mkdir: () => Promise.reject(Object.assign(new Error("EROFS"), { code: "EROFS" })) });
  await records.put(latest, 1);
  assert.equal(await records.get(latest), 1);
  assert.equal(await records.get(page(1)), undefined);
  await records.remove(latest);
  assert.equal(await records.get(latest), undefined);
  assert.deepEqual(await listed(records, "tag"), []);
  assert.equal(log.messages.length, 1);
});

test("lists of a repository are bounded, the oldest go", async (t) => {
  const { open, root } = bench(t);
  const records = await open();
  await records.put(latest, 1);
  for (let n = 0; n < limits.listsPerRepositoryMax; n += 1) {
    await records.put(page(n), n);
    utimesSync(`${root}/${recordPath(page(n))}`, n, n);
  }
  assert.equal((await listed(records, "list")).length, limits.listsPerRepositoryMax);
  await records.put(page(1_000), 1_000);
  const left = await listed(records, "list");
  assert.ok(left.length <= limits.listsPerRepositoryMax / 2 + 1);
  assert.ok(left.includes(1_000));
  assert.equal(await records.get(page(0)), undefined);
  assert.equal(await records.get(page(limits.listsPerRepositoryMax - 1)), limits.listsPerRepositoryMax - 1);
  assert.equal(await records.get(latest), 1);
});

test("a record of another key in the same file is not taken for this one's", async (t) => {
  const { open, root } = bench(t);
  await (await open()).put(latest, 1);
  const file = `${root}/${recordPath(latest)}`;
  writeFileSync(file, readFileSync(file, "utf8").replace('"name":"latest"', '"name":"LATEST"'));
  assert.equal(await (await open()).get(latest), undefined);
});

test("a purge takes all records of a repository that are older than it, from the disk too, and no other's", async (t) => {
  const { open, root } = bench(t);
  const records = await open();
  const nested = { upstream: "docker.io", name: "library/alpine/sub" };
  const link: RecordKey = { repository, kind: "link", name: `sha256:${"a".repeat(64)}` };
  const nowMs = Date.now();
  await records.put(latest, { digest: "d", checkedAt: nowMs - 5_000 });
  await records.put({ ...latest, name: "newer" }, { digest: "d", checkedAt: nowMs + 60_000 });
  await records.put({ ...latest, repository: nested }, { digest: "d", checkedAt: 1 });
  await records.put(page(1), { checkedAt: nowMs - 5_000 });
  await records.put(link, { kind: "blob" });
  utimesSync(`${root}/${recordPath(link)}`, nowMs / 1000 - 5, nowMs / 1000 - 5);
  // Once from memory, once from the disk alone.
  for (const purging of [records, await open()]) {
    await purging.purge(repository, nowMs);
    for (const key of [latest, page(1), link]) {
      assert.equal(await purging.get(key), undefined);
      assert.equal(existsSync(`${root}/${recordPath(key)}`), false);
    }
    assert.ok(await purging.get({ ...latest, name: "newer" }));
    assert.ok(await purging.get({ ...latest, repository: nested }));
  }
});

test("a link that was written after a purge stays", async (t) => {
  const { open } = bench(t);
  const records = await open();
  const link: RecordKey = { repository, kind: "link", name: `sha256:${"a".repeat(64)}` };
  await records.put(link, { kind: "blob" });
  await records.purge(repository, Date.now() - 60_000);
  assert.ok(await records.get(link));
});

test("the repositories that have a link to a digest are found, nested ones too", async (t) => {
  const { open } = bench(t);
  const records = await open();
  const digest = `sha256:${"b".repeat(64)}` as const;
  const nested = { upstream: "docker.io", name: "library/alpine/sub" };
  for (const each of [repository, nested]) await records.put({ repository: each, kind: "link", name: digest }, {});
  await records.put({ repository, kind: "link", name: `sha256:${"c".repeat(64)}` }, {});
  const found: string[] = [];
  for await (const { name } of records.linked(digest as Digest)) found.push(name);
  assert.deepEqual(found.sort(), [repository.name, nested.name]);
});
