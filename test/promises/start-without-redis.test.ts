import assert from "node:assert/strict";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { startHub } from "@pullring/testkit";

import { pull } from "../real/http.ts";
import { freePort } from "../real/listening.ts";
import { asDockerHub, startPullring } from "../real/pullring.ts";

test("a node of a cluster starts, serves and stops while nobody answers where its Redis should be", async () => {
  await using dir = await mkdtempDisposable(join(tmpdir(), "pullring-no-redis-"));
  const hub = await startHub();
  try {
    const image = hub.content.addImage({ repository: "library/alpine", tag: "3", layers: [1000] });
    const peer = `127.0.0.1:${await freePort()}`;
    const cluster = {
      redis: { url: `redis://127.0.0.1:${await freePort()}` },
      peer: { listen: peer, url: `http://${peer}`, secret: "a secret of this test" },
    };
    await using pullring = await startPullring({
      dir: dir.path,
      config: { upstreams: asDockerHub(hub), node: { id: "n1" }, cluster },
    });
    const answer = await pull(`${pullring.url}/v2/library/alpine/manifests/3`);
    assert.deepEqual([answer.status, answer.digest], [200, image.digest]);
    pullring.kill("SIGTERM");
    assert.deepEqual(await pullring.ended, { code: 0, signal: null });
  } finally {
    await hub.close();
  }
});
