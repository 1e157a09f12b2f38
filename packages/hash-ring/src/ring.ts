import { arcs, differing, findPoint, hashKey, makePoints, walk, type Points } from "./ketama.ts";
import { epochOf, sortedMembers, type Algorithm, type RingMember } from "./members.ts";
import { hashWords, highest, ranking } from "./rendezvous.ts";

/** Who owns a key, and who comes next. A pure function of its members: the order in which they are given does not matter. */
export interface Ring {
  readonly algorithm: Algorithm;
  /** Equal for equal rings and for no others: 16 hex characters over algorithm, ring names and weights. */
  readonly epoch: string;
  /** Points on the circle; 0 for rendezvous. */
  readonly points: number;
  /** Points of two nodes that fell together: there nginx may choose otherwise. */
  readonly ties: number;
  /** By id. */
  readonly members: readonly RingMember[];
  /** Where the key is on the circle: an unsigned 32-bit number. */
  hash(key: string): number;
  /** The owner's id. */
  owner(key: string): string;
  /** All ids, the owner first; each next one is who owns the key when those before it are gone. */
  successors(key: string): readonly string[];
  /** The part of all keys that each id owns: exact for ketama, by a sample of 16,384 keys for rendezvous. */
  shares(): ReadonlyMap<string, number>;
}

export interface RingOptions {
  /** `ketama` is nginx' `hash KEY consistent`; `rendezvous` is for those whose load balancer need not agree. */
  readonly algorithm?: Algorithm;
}

/** Throws RangeError without members, for an id that is there twice, an empty ring name or a weight that is none. */
export function makeRing(members: readonly RingMember[], { algorithm = "ketama" }: RingOptions = {}): Ring {
  const sorted = sortedMembers(members);
  const common = { algorithm, epoch: epochOf(algorithm, sorted), members: sorted, hash: hashKey };
  const idOf = (index: number): string => sorted[index]?.id ?? "";
  return algorithm === "ketama"
    ? { ...common, ...ketamaRing(makePoints(sorted), idOf, sorted.length) }
    : { ...common, ...rendezvousRing(sorted, idOf) };
}

type Choice = Pick<Ring, "points" | "ties" | "owner" | "successors" | "shares">;

function ketamaRing(points: Points, idOf: (index: number) => string, count: number): Choice {
  return {
    points: points.hashes.length,
    ties: points.ties,
    owner: (key) => idOf(points.owners[findPoint(points, hashKey(key))] ?? 0),
    successors: (key) => walk(points, findPoint(points, hashKey(key)), count).map(idOf),
    shares: () => new Map(arcs(points, count).map((share, index) => [idOf(index), share])),
  };
}

function rendezvousRing(members: readonly RingMember[], idOf: (index: number) => string): Choice {
  const nodes = members.map(({ ringName }) => hashWords(ringName));
  const owner = (key: string): string => idOf(highest(members, nodes, key));
  let shares: ReadonlyMap<string, number> | undefined;
  return {
    points: 0,
    ties: 0,
    owner,
    successors: (key) => ranking(members, nodes, key).map(idOf),
    // With 100 nodes a sample is a tenth of a second: one for the life of the ring.
    shares: () => (shares ??= sampledShares(members, owner)),
  };
}

function sampledShares(members: readonly RingMember[], owner: Ring["owner"]): ReadonlyMap<string, number> {
  const shares = new Map(members.map(({ id }) => [id, 0]));
  for (const key of sampleKeys) {
    const id = owner(key);
    shares.set(id, (shares.get(id) ?? 0) + 1 / sampleKeys.length);
  }
  return shares;
}

const sampleKeys: readonly string[] = Array.from({ length: 16_384 }, (_, index) => `key ${index}`);

export interface Preview {
  /** The part of all keys that get another owner. */
  readonly moved: number;
  /** Each node of either ring, with its share in both. */
  readonly nodes: readonly { readonly id: string; readonly before: number; readonly after: number }[];
}

/** What a change of the ring would do: exact for ketama, by a sample of 16,384 keys otherwise. */
export function previewRing(before: Ring, after: Ring): Preview {
  const [sharesBefore, sharesAfter] = [before.shares(), after.shares()];
  const ids = [...new Set([...sharesBefore.keys(), ...sharesAfter.keys()])].sort();
  const nodes = ids.map((id) => ({ id, before: sharesBefore.get(id) ?? 0, after: sharesAfter.get(id) ?? 0 }));
  return { moved: movedBetween(before, after), nodes };
}

function movedBetween(before: Ring, after: Ring): number {
  if (before.algorithm === "ketama" && after.algorithm === "ketama")
    return differing(
      makePoints(before.members),
      makePoints(after.members),
      (from, to) => before.members[from]?.id !== after.members[to]?.id,
    );
  return sampleKeys.filter((key) => before.owner(key) !== after.owner(key)).length / sampleKeys.length;
}
