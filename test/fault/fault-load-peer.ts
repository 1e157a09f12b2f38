import { startCluster } from "../real/cluster.ts";
import { lastingTags, noLimit } from "./fault-load-redis.ts";
import type { Fault, FaultRig } from "./fault-load-run.ts";

export interface PeerRig extends FaultRig {
  readonly fault: Fault;
}

/** Four nodes, one of which no client comes to: it owns its share of all keys, and falls silent (SIGSTOP). */
export async function openPeerRig(stack: AsyncDisposableStack): Promise<PeerRig> {
  const cluster = stack.use(await startCluster({ nodes: 4, hub: noLimit, config: lastingTags }));
  const [silent, ...asked] = cluster.nodes.toReversed();
  if (!silent) throw new Error("no node");
  await cluster.balancer.setServers(asked.map(({ host }) => host));

  /** How each of the others sees it. */
  const seen = async (): Promise<readonly (boolean | undefined)[]> => {
    const views = await Promise.all(asked.map((node) => node.ring()));
    return views.map(({ nodes }) => nodes.find(({ id }) => id === silent.id)?.benched);
  };
  const fault: Fault = {
    name: "peer-silent",
    begin: () => silent.freeze(),
    isFelt: async () => (await seen()).some((isBenched) => isBenched !== false),
    end: () => silent.thaw(),
    usedAgain: () =>
      Promise.resolve(async () => {
        await cluster.converged(2_000);
        return (await seen()).every((isBenched) => isBenched === false);
      }),
    // What only the silent one had, or was fetching.
    extraGetsPerPull: 1,
  };
  return { cluster, fault, load: { entries: asked.map(({ url }) => url) } };
}
