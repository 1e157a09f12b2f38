import assert from "node:assert/strict";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { needsRedis } from "../real/redis.ts";
import { clusterKills } from "./cluster-kill-rounds.ts";

const kills = 20;

test(
  "20 nodes of five are killed under load: no wrong byte, no bad file, nothing left behind, and every promise in the ledger",
  { skip: needsRedis(), timeout: 300_000 },
  async () => {
    await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-cluster-kill-"));
    const report = await clusterKills({ dir: dir.path, kills, seed: 1, clients: 6, bigEvery: 0 });
    const { ledger, disks, uploads } = report;
    assert.deepEqual(report.wrong, []);
    assert.deepEqual(report.lost, []);
    assert.deepEqual(disks.wrong, []);
    assert.deepEqual(disks.leftovers, []);
    assert.equal(uploads.leaked, 0);
    assert.deepEqual(ledger.violations, []);
    assert.equal(ledger.code, 0);
    // Otherwise nothing was tried: kills met fills, clients got what they asked for, and each rule had something to look at.
    assert.ok(report.fillsCut > 0);
    assert.ok((report.outcomes["right"] ?? 0) > 100, JSON.stringify(report.outcomes));
    assert.ok(disks.kept > 0);
    assert.ok(ledger.killed >= kills);
    assert.ok(
      ledger.rules.every(({ checked }) => checked > 0),
      JSON.stringify(ledger.rules),
    );
  },
);
