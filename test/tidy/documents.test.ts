import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";

import { commandBlocks, documents, root } from "../real/documents.ts";

test("every command in the documents is run by a test, or is marked as not run, with the reason", () => {
  const wrong = documents()
    .flatMap(commandBlocks)
    .filter(
      ({ mark = "" }) => !/^(?:run|run in the background|run by: \S+|not run(?: as it stands)?: .{8,})$/.test(mark),
    )
    .map(({ document, text }) => `${document}: ${text.split("\n")[0]}`);
  assert.deepEqual(wrong, []);
});

test("what is said to run or check them is there", () => {
  const named = documents()
    .flatMap(commandBlocks)
    .flatMap(({ mark = "" }) => [...mark.matchAll(/[\w./-]+\.(?:test\.ts)|\.ci\/run/g)].map(([path]) => path));
  assert.ok(named.length > 10);
  assert.deepEqual(
    named.filter((path) => !existsSync(`${root}${path}`)),
    [],
  );
});
