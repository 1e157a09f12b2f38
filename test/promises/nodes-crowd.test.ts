import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { suite, test } from "node:test";

import { startCluster } from "../real/cluster.ts";

/** The kernel's own bound, of which some more than half is asked for. */
const kernelMax = Number(readFileSync("/proc/sys/net/core/somaxconn", "utf8"));
const crowd = Math.min(1_500, Math.floor(kernelMax * 0.6));

const accepted = (socket: Socket): Promise<boolean> =>
  Promise.race([
    once(socket, "connect").then(() => true),
    once(socket, "error").then(() => false),
    // nginx gives a node a second; the kernel tries again only after that.
    once(AbortSignal.timeout(900), "abort").then(() => false),
  ]);

async function connectAll(host: string): Promise<number> {
  const [address = "", port = ""] = host.split(":");
  const sockets = Array.from({ length: crowd }, () => connect(Number(port), address));
  const results = await Promise.all(sockets.map(accepted));
  for (const socket of sockets) socket.destroy();
  return results.filter(Boolean).length;
}

suite("a crowd", { timeout: 60_000 }, () => {
  test(`of ${crowd} clients or peers that comes while a node is busy is not turned away`, async () => {
    await using cluster = await startCluster({ nodes: 1, members: "list", balancer: "none" });
    const [node] = cluster.nodes;
    assert.ok(node);
    for (const host of [node.host, node.peerHost]) {
      node.freeze();
      try {
        assert.equal(await connectAll(host), crowd);
      } finally {
        node.thaw();
      }
    }
  });
});
