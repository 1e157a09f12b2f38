import { type Hub, mediaTypes } from "@pullring/testkit";

import { type Cluster, type ClusterOptions, startCluster } from "../real/cluster.ts";
import { pull } from "../real/http.ts";

/** Budgets of the whole cluster: four addresses on three nodes, and three accounts that every node may use. */
export interface Allowance {
  readonly anonymousLimit: number;
  readonly accountLimit: number;
}

export const addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"] as const;
export const usernames = ["ci", "build", "night"] as const;

export const budgetOf = ({ anonymousLimit, accountLimit }: Allowance): number =>
  addresses.length * anonymousLimit + usernames.length * accountLimit;

const password = (username: string): string => `password of ${username}`;

/** Three nodes that have no way but those addresses: n3 has two of them. */
export const startSpenders = (
  { anonymousLimit, accountLimit }: Allowance,
  options: Partial<ClusterOptions> = {},
): Promise<Cluster> =>
  startCluster({
    nodes: 3,
    balancer: "none",
    ...options,
    hub: {
      anonymousLimit,
      accounts: usernames.map((username) => ({ username, password: password(username), limit: accountLimit })),
      ...options.hub,
    },
    config: (place) => ({
      accounts: usernames.map((username) => ({
        name: username,
        upstream: "docker.io",
        username,
        password: password(username),
        limit: accountLimit,
        window: "6h",
      })),
      egress: addresses.map((localAddress, index) => ({
        name: `address-${index + 2}`,
        localAddress,
        nodes: [`n${Math.min(3, index + 1)}`],
      })),
      ...(typeof options.config === "function" ? options.config(place) : options.config),
    }),
  });

/** Puts that many images of one manifest there, and resolves to their names. */
export function makeTags({ content }: Hub, count: number, name = "cold"): readonly string[] {
  return Array.from({ length: count }, (_, index) => {
    const repository = `library/${name}-${index}`;
    content.addArtifact({ repository, tag: "1", size: 100 });
    return repository;
  });
}

const accept = [mediaTypes.ociIndex, mediaTypes.ociManifest].join(", ");

/** Pulls the manifest of each by whichever node is next, so many at a time. Resolves to the statuses, in the order of the names. */
export async function pullTags(cluster: Cluster, names: readonly string[], atOnce = 40): Promise<readonly number[]> {
  const statuses: number[] = [];
  const rest = names.entries();
  const nodes = cluster.nodes.filter(({ isRunning }) => isRunning);
  async function work(): Promise<void> {
    for (const [index, name] of rest) {
      const { url = "" } = nodes[index % nodes.length] ?? {};
      const { status } = await pull(`${url}/v2/${name}/manifests/1`, { headers: { accept } });
      statuses[index] = status;
    }
  }
  await Promise.all(Array.from({ length: atOnce }, work));
  return statuses;
}

/** How much of each budget is spent, 0 to 1, by the hub's own books. */
export function sharesSpent(
  { quota }: Hub,
  { anonymousLimit, accountLimit }: Allowance,
): Readonly<Record<string, number>> {
  const spent = (limit: number, remaining: number | undefined): number => (limit - (remaining ?? limit)) / limit;
  return Object.fromEntries([
    ...addresses.map((address) => [address, spent(anonymousLimit, quota.remaining({ address }))] as const),
    ...usernames.map((account) => [account, spent(accountLimit, quota.remaining({ account }))] as const),
  ]);
}

export const countedGets = ({ ledger }: Hub): number => ledger.count({ counted: true });
export const throttled = ({ ledger }: Hub): number => ledger.count({ status: 429 });
