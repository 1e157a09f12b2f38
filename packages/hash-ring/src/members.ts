import { createHash } from "node:crypto";

export interface RingMember {
  readonly id: string;
  /** What is hashed for the node: exactly the text of its `server` line where a load balancer has the same ring. */
  readonly ringName: string;
  /** 1 to 100, a whole number: its share of the keys beside the others'. */
  readonly weight: number;
}

export type Algorithm = "ketama" | "rendezvous";

const weightMax = 100;

/** By id, so that no ring depends on the order in which its members were heard of. Throws RangeError for what is no ring. */
export function sortedMembers(members: readonly RingMember[]): readonly RingMember[] {
  if (members.length === 0) throw new RangeError("a ring needs a member");
  const sorted = [...members].sort((a, b) => (a.id < b.id ? -1 : 1));
  for (const [index, { id, ringName, weight }] of sorted.entries()) {
    if (id === sorted[index + 1]?.id) throw new RangeError(`${id} is in the ring twice`);
    if (ringName === "") throw new RangeError(`${id} has an empty ring name`);
    if (!Number.isInteger(weight) || weight < 1 || weight > weightMax)
      throw new RangeError(`${id} has the weight ${weight}, which must be a whole number from 1 to ${weightMax}`);
  }
  return sorted;
}

/** The same for the same ring wherever it is made, without anybody to agree with: 16 hex characters. */
export function epochOf(algorithm: Algorithm, members: readonly RingMember[]): string {
  const facts = members.map(({ ringName, weight }) => [ringName, weight] as const);
  const sorted = facts.sort(([a, weightOfA], [b, weightOfB]) => (a === b ? weightOfA - weightOfB : a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([algorithm, sorted]))
    .digest("hex")
    .slice(0, 16);
}
