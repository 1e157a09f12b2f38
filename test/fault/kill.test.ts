import assert from "node:assert/strict";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { killRounds } from "./kill-rounds.ts";

const kills = 5;

test("a process killed during 20 fills starts, serves, and keeps no file that is not what its name says", async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-kill-"));
  const report = await killRounds({ dir: dir.path, kills, seed: 1 });
  assert.deepEqual(report.wrong, []);
  assert.deepEqual(report.leftovers, []);
  // Otherwise nothing was tried: the kills met fills, and some blobs had been kept by then.
  assert.ok(
    report.fillsCut.every((count) => count > 0),
    String(report.fillsCut),
  );
  assert.ok(report.kept > 0);
});
