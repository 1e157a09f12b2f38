import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { makeRing } from "@pullring/hash-ring";

import { freePort } from "../real/listening.ts";
import { startPullring } from "../real/pullring.ts";
import type { Target } from "./run-load.ts";

/** Two nodes that know each other by their list, and share a secret. */
export interface Pair extends AsyncDisposable {
  /** Ports of the node that owns the target, and of the other one, which has to ask it. */
  portsFor(target: Target): { readonly owner: number; readonly other: number };
  /** Of both together. */
  cpuSec(): number;
}

export async function startPair(dir: string, upstreamUrl: string): Promise<Pair> {
  const members = await Promise.all(
    ["n1", "n2"].map(async (id) => ({ id, url: `http://127.0.0.1:${await freePort()}`, ringName: id, weight: 1 })),
  );
  const nodes = await Promise.all(
    members.map(async ({ id, url }) => {
      const own = join(dir, id);
      await mkdir(own);
      const peer = { listen: url.slice("http://".length), url, secret: "of the bench" };
      const upstreams = { "docker.io": { url: upstreamUrl, allowPrivateAddresses: true } };
      const node = await startPullring({ dir: own, config: { upstreams, node: { id }, cluster: { members, peer } } });
      return [id, node] as const;
    }),
  );
  const byId = new Map(nodes);
  const ring = makeRing(members);
  const portOf = (id: string | undefined): number => Number(new URL(byId.get(id ?? "")?.url ?? "").port);
  return {
    portsFor({ path }) {
      const [owner, other] = ring.successors(path.slice(path.lastIndexOf("/") + 1));
      return { owner: portOf(owner), other: portOf(other) };
    },
    cpuSec: () => nodes.reduce((sum, [, node]) => sum + node.cpuSec(), 0),
    async [Symbol.asyncDispose]() {
      await Promise.all(nodes.map(([, node]) => node.stop()));
    },
  };
}
