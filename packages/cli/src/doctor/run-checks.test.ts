import assert from "node:assert/strict";
import { test } from "node:test";

import { runChecks } from "./run-checks.ts";

const well = { status: "ok", found: "yes" } as const;

test("a check that breaks off counts as failed, with its reason, and holds up no other", async () => {
  const results = await runChecks([
    { name: "broken", run: () => Promise.reject(new Error("no reason")) },
    { name: "well", run: () => Promise.resolve(well) },
  ]);
  assert.deepEqual(results, [
    { name: "broken", status: "fail", found: "no reason" },
    { name: "well", ...well },
  ]);
});

test("what must end before others begin does, and is told where it stands", async () => {
  let isOver = false;
  const first = Promise.withResolvers<typeof well>();
  const running = runChecks([
    { name: "later", run: () => Promise.resolve(isOver ? well : { status: "fail", found: "too early" }) },
    { name: "first", isFirst: true, run: () => first.promise },
  ]);
  setImmediate(() => {
    isOver = true;
    first.resolve(well);
  });
  assert.deepEqual(
    (await running).map(({ name, status }) => `${name} ${status}`),
    ["later ok", "first ok"],
  );
});
