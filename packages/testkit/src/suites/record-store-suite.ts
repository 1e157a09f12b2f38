import assert from "node:assert/strict";
import { describe, test } from "node:test";

import type { RecordKey, RecordStore } from "@pullring/core";

export interface RecordStoreSuiteOptions {
  readonly name: string;
  /** An empty store; `close` is called at the end of the test that opened it. */
  readonly open: () => Promise<{ readonly records: RecordStore; readonly close: () => Promise<void> }>;
}

const hex = "0123456789abcdef".repeat(4);
const key = (upstream: string, repository: string, rest: Pick<RecordKey, "kind" | "name">): RecordKey => ({
  repository: { upstream, name: repository },
  ...rest,
});
const tag = (name: string) => ({ kind: "tag" as const, name });
const link = (name: string) => ({ kind: "link" as const, name });
const list = (name: string) => ({ kind: "list" as const, name });

/** Keys that a careless naming of files would take for each other, or that would leave the store's folder. */
export const trickyKeys: readonly RecordKey[] = [
  key("docker.io", "library/alpine", tag("latest")),
  key("docker.io", "library/alpine", tag("Latest")),
  key("docker.io", "library", tag("alpine")),
  key("docker.io", "library/alpine/latest", tag("latest")),
  key("docker.io:443", "library/alpine", tag("latest")),
  key("[::1]:5000", "library/alpine", tag("latest")),
  key("docker.io", "library/alpine", list("latest")),
  key("docker.io", "library/alpine", list("tags?")),
  key("docker.io", "library/alpine", list("tags?n=100&last=%2F..%2F..%2Fetc/passwd")),
  key("docker.io", "library/alpine", list("../../../../escape")),
  key("docker.io", "library/alpine", list("..")),
  key("docker.io", "library/alpine", list(".")),
  key("docker.io", "library/alpine", list("")),
  key("docker.io", "library/alpine", list("%2E%2E")),
  key("docker.io", "library/alpine", list("~")),
  key("docker.io", "library/alpine", list("x".repeat(60_000))),
  key("docker.io", "library/alpine", list("x".repeat(60_001))),
  key("docker.io", "library/alpine", list("\u0000\ud800ü/\\:*?")),
  key("..", "../..", tag("..")),
  key("", "", tag("")),
  key("docker.io", "_tags", tag("latest")),
  key("docker.io", "a_tags/b", tag("latest")),
  key("docker.io", "library/alpine", tag("latest.json")),
  key("docker.io", "library/alpine", link(`sha256:${hex}`)),
  key("docker.io", "library/alpine", link(`sha512:${hex}${hex}`)),
  key("docker.io", "library/debian", link(`sha256:${hex}`)),
];

/** What every RecordStore keeps to. */
export function recordStoreSuite({ name, open }: RecordStoreSuiteOptions): void {
  const check = (promise: string, run: (records: RecordStore) => Promise<void>): void => {
    test(promise, async () => {
      const { records, close } = await open();
      try {
        await run(records);
      } finally {
        await close();
      }
    });
  };
  const [alpine] = trickyKeys;
  assert.ok(alpine);

  describe(`record store: ${name}`, () => {
    check("what was never written is absent, and removing it is no error", async (records) => {
      assert.equal(await records.get(alpine), undefined);
      await records.remove(alpine);
      assert.equal(await records.get(alpine), undefined);
    });

    check("the last value written is the one that is read", async (records) => {
      await records.put(alpine, { digest: "sha256:a", checkedAt: 1 });
      assert.deepEqual(await records.get(alpine), { digest: "sha256:a", checkedAt: 1 });
      await records.put(alpine, { digest: "sha256:b", checkedAt: 2 });
      assert.deepEqual(await records.get(alpine), { digest: "sha256:b", checkedAt: 2 });
      await records.remove(alpine);
      assert.equal(await records.get(alpine), undefined);
    });

    check("an absence that was seen does not hide what is written later", async (records) => {
      assert.equal(await records.get(alpine), undefined);
      await records.put(alpine, 1);
      assert.equal(await records.get(alpine), 1);
    });

    check("writes and reads that overlap end in the order of asking", async (records) => {
      const writes = [1, 2, 3, 4, 5].map((value) => records.put(alpine, { value }));
      const read = records.get(alpine);
      await Promise.all(writes);
      assert.deepEqual(await read, { value: 5 });
      assert.deepEqual(await records.get(alpine), { value: 5 });
      await Promise.all([records.put(alpine, { value: 6 }), records.remove(alpine)]);
      assert.equal(await records.get(alpine), undefined);
      await Promise.all([records.remove(alpine), records.put(alpine, { value: 7 })]);
      assert.deepEqual(await records.get(alpine), { value: 7 });
    });

    check("keys that look alike are different, whatever they contain", async (records) => {
      for (const [index, each] of trickyKeys.entries()) await records.put(each, { index });
      for (const [index, each] of trickyKeys.entries()) assert.deepEqual(await records.get(each), { index }, each.name);
      for (const [index, each] of trickyKeys.entries()) {
        await records.remove(each);
        for (const [later, other] of trickyKeys.entries())
          if (later > index) assert.deepEqual(await records.get(other), { index: later });
      }
    });

    check("what is read is what JSON carries, never the caller's own object", async (records) => {
      const value = { names: ["a"], missing: undefined };
      await records.put(alpine, value);
      value.names.push("b");
      assert.deepEqual(await records.get(alpine), { names: ["a"] });
    });
  });
}
