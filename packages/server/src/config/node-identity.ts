import { formatListen } from "./address.ts";
import { nodeKind } from "./names.ts";
import { quoted } from "./path.ts";
import type { Finding } from "./problem.ts";
import type { Settings } from "./schema.ts";

/** Who this node is to the others. */
export interface NodeIdentity {
  readonly id: string;
  readonly ringName: string;
  readonly weight: number;
  /** What peers dial; absent without a cluster. */
  readonly peerUrl?: string;
}

/** Its id may be the host's name, and a list of members may tell the rest; both must fit what else is configured. */
export function identify(
  { node, cluster }: Settings,
  hostname: string,
): { identity: NodeIdentity; findings: readonly Finding[] } {
  const findings: Finding[] = [];
  const id = node.id ?? hostname;
  if (nodeKind.parse(id) === undefined)
    findings.push({ path: ["node", "id"], found: `the host's name, ${quoted(id)}`, allowed: nodeKind.allowed });
  const listed = cluster?.members?.find((member) => member.id === id);
  if (cluster?.members && !listed) {
    const allowed = `this node among the others: node.id is ${quoted(id)}`;
    findings.push({ path: ["cluster", "members"], found: "a list without this node", allowed });
  }
  const ringName = node.ringName ?? listed?.ringName ?? id;
  const weight = node.weight ?? listed?.weight ?? 1;
  const peerUrl = peerUrlOf(cluster?.peer, id, listed?.url);
  if (listed) findings.push(...disagreements({ id, ringName, weight, ...peerUrl }, listed));
  return { identity: { id, ringName, weight, ...peerUrl }, findings };
}

function peerUrlOf(
  peer: NonNullable<Settings["cluster"]>["peer"],
  id: string,
  listed: URL | undefined,
): { peerUrl?: string } {
  if (!peer) return {};
  const derived = `${peer.tls ? "https" : "http"}://${formatListen({ host: id.toLowerCase(), port: peer.listen.port })}`;
  return { peerUrl: (peer.url ?? listed)?.origin ?? derived };
}

type Listed = NonNullable<NonNullable<Settings["cluster"]>["members"]>[number];

/** All nodes read one list: one that says otherwise of itself would have a ring of its own. */
function disagreements({ id, ringName, weight, peerUrl }: NodeIdentity, listed: Listed): Finding[] {
  const facts: [Finding["path"], string | number | undefined, string | number][] = [
    [["node", "ringName"], ringName, listed.ringName ?? id],
    [["node", "weight"], weight, listed.weight],
    [["cluster", "peer", "url"], peerUrl, listed.url.origin],
  ];
  return facts
    .filter(([, own, common]) => own !== undefined && own !== common)
    .map(([path, own, common]) => {
      return { path, found: quoted(String(own)), allowed: `${quoted(String(common))}, as in cluster.members` };
    });
}
