import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { eventually } from "@pullring/testkit";

import { startCluster, needsCluster, type Cluster } from "../real/cluster.ts";
import { askInARow } from "./ask-in-a-row.ts";
import { askRaw } from "./raw.ts";

const freshMs = 1_500;
const retryAfterSec = 1;
const repository = "acme/warm";
const tags = Array.from({ length: 50 }, (_, at) => `t${at}`);

/** Whole nodes, asked at any of them; the budget is Docker Hub's own, told by its headers. */
suite("three nodes without anything to spend but HEADs", { skip: needsCluster(), timeout: 120_000 }, () => {
  let cluster: Cluster;
  let warmedAtMs: number;

  const nodeOf = (turn: number) => {
    const node = cluster.nodes[turn % cluster.nodes.length];
    assert.ok(node);
    return node;
  };
  const ask = (turn: number, tag: string, method = "GET") =>
    askRaw(`${nodeOf(turn).url}/v2/${repository}/manifests/${tag}`, { method });

  before(
    async () => {
      cluster = await startCluster({
        balancer: "none",
        hub: { anonymousLimit: 1_000, pullLimitRetryAfterSec: retryAfterSec },
        config: { tags: { fresh: `${freshMs}ms` } },
      });
      for (const tag of tags) cluster.hub.content.addImage({ repository, tag, layers: [100] });
      warmedAtMs = performance.now();
      // Warm at every node; on a busy machine a cold one may have to be asked for again.
      for (const [turn] of cluster.nodes.entries())
        await Promise.all(tags.map((tag) => eventually(async () => (await ask(turn, tag)).status === 200)));
    },
    { timeout: 60_000 },
  );
  after(() => cluster.stop());

  test("10,000 pulls of 50 warm tags over 3 windows cost each tag one HEAD a window, and no counted GET", async () => {
    const { ledger } = cluster.hub;
    const gets = ledger.count({ kind: "manifest_get" });
    const rounds = 20;
    const atOnce = 10;
    const keys = Array.from({ length: 10_000 / rounds / tags.length }, () => "");
    const beganMs = performance.now();
    for (let round = 0; round < rounds; round += 1) {
      for (let from = 0; from < tags.length; from += atOnce) {
        const pulls = tags.slice(from, from + atOnce).map((tag, at) => {
          const path = `/v2/${repository}/manifests/${tag}`;
          return askInARow({ host: nodeOf(round + from + at).host, path, keys });
        });
        await Promise.all(pulls);
      }
      // Spread over three windows; a busy machine takes longer, which is more windows.
      await sleep(Math.max(0, beganMs + ((round + 1) * 3 * freshMs) / rounds - performance.now()));
    }
    const windowsMax = Math.floor((performance.now() - warmedAtMs) / freshMs) + 1;
    assert.equal(ledger.count({ kind: "manifest_get" }), gets);
    const heads = tags.map((tag) => ledger.count({ kind: "manifest_head", reference: tag }));
    assert.ok(Math.max(...heads) <= windowsMax, `${heads.join(" ")}; at most ${windowsMax}`);
    assert.ok(Math.min(...heads) >= 3, heads.join(" "));
  });

  test("with every budget empty fresh tags answer, moved ones as stale, and those follow when there is something left", async () => {
    const { content, quota, ledger } = cluster.hub;
    const [still = "", moved = ""] = tags;
    const before = await Promise.all([still, moved].map(async (tag) => (await ask(0, tag)).headers));
    const [stillDigest, oldDigest] = before.map((headers) => headers["docker-content-digest"]);
    quota.setRemaining(0);
    const { digest } = content.addImage({ repository, tag: moved, layers: [200] });
    for (const turn of [0, 1, 2]) {
      const old = await eventually(
        async () => {
          const answer = await ask(turn, moved);
          assert.deepEqual([answer.status, answer.headers["docker-content-digest"]], [200, oldDigest]);
          return answer.headers["warning"] === undefined ? undefined : answer;
        },
        { timeoutMs: 10_000, intervalMs: 50 },
      );
      assert.match(old.headers["warning"] ?? "", /299 - "stale: upstream limits our requests, /);
      await eventually(async () => {
        const fresh = await ask(turn, still);
        assert.deepEqual([fresh.status, fresh.headers["docker-content-digest"]], [200, stillDigest]);
        // A HEAD that took too long, on a busy machine, is asked again.
        return fresh.headers["warning"] === undefined;
      });
    }
    const refused = ledger.count({ status: 429 });
    quota.reset();
    for (const turn of [0, 1, 2])
      // The window, what was still told to wait, and slack for a busy machine.
      await eventually(async () => (await ask(turn, moved)).headers["docker-content-digest"] === digest, {
        timeoutMs: freshMs + retryAfterSec * 1_000 + 8_000,
        intervalMs: 50,
      });
    assert.equal(ledger.count({ status: 429 }), refused, "nothing was refused any more");
    assert.equal((await ask(1, moved)).headers["warning"], undefined);
  });
});
