import { crc32, crcByte, crcFinish, crcStart, crcText } from "./crc32.ts";
import type { RingMember } from "./members.ts";

/** What nginx makes of each unit of weight (ngx_http_upstream_hash_module). */
const pointsPerWeight = 160;
const keySpace = 2 ** 32;

/** Points in ascending order, and whose each is: an index into the members. */
export interface Points {
  readonly hashes: Uint32Array;
  readonly owners: Uint16Array;
  /** Points that fell together with another node's, of which one was dropped. nginx' choice there depends on its C library. */
  readonly ties: number;
}

/** nginx' `hash KEY consistent`, point by point. Of points that fall together the node's that comes first stays. */
export function makePoints(members: readonly RingMember[]): Points {
  const total = members.reduce((sum, { weight }) => sum + weight * pointsPerWeight, 0);
  // Both numbers in one double, so that a plain numeric sort does it.
  const packed = new Float64Array(total);
  let at = 0;
  for (const [index, { ringName, weight }] of members.entries()) {
    const base = baseOf(ringName);
    let hash = 0;
    for (let point = 0; point < weight * pointsPerWeight; point += 1) {
      hash = nextPoint(base, hash);
      packed[at] = hash * members.length + index;
      at += 1;
    }
  }
  packed.sort();
  return unpack(packed, members.length);
}

function unpack(packed: Float64Array, count: number): Points {
  const hashes = new Uint32Array(packed.length);
  const owners = new Uint16Array(packed.length);
  let kept = 0;
  let ties = 0;
  for (const value of packed) {
    const hash = Math.floor(value / count);
    const owner = value % count;
    if (kept > 0 && hashes[kept - 1] === hash) {
      if (owners[kept - 1] !== owner) ties += 1;
      continue;
    }
    hashes[kept] = hash;
    owners[kept] = owner;
    kept += 1;
  }
  return { hashes: hashes.slice(0, kept), owners: owners.slice(0, kept), ties };
}

/**
 * Host and port, a zero byte between: the port is what follows the last colon, if it is all digits. Of a socket, which nginx knows by
 * `unix:` in either case, all the rest is the host.
 */
function baseOf(ringName: string): number {
  const [, host = ringName, port = ""] = /^unix:(.*)$/is.exec(ringName) ?? /^(.*):(\d*)$/s.exec(ringName) ?? [];
  return crcText(crcByte(crcText(crcStart, host), 0), port);
}

/** The hash of the one before is appended, least byte first. */
function nextPoint(base: number, before: number): number {
  let state = base;
  for (let shift = 0; shift < 32; shift += 8) state = crcByte(state, (before >>> shift) & 0xff);
  return crcFinish(state);
}

export const hashKey = (key: string): number => crc32(key);

/** Index of the first point at or after the hash, around the end. */
export function findPoint({ hashes }: Points, hash: number): number {
  let low = 0;
  let high = hashes.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((hashes[middle] ?? 0) < hash) low = middle + 1;
    else high = middle;
  }
  return low === hashes.length ? 0 : low;
}

/** Distinct members from that point on, until all are found. */
export function walk({ owners }: Points, from: number, count: number): number[] {
  const found: number[] = [];
  const seen = new Uint8Array(count);
  for (let step = 0; step < owners.length && found.length < count; step += 1) {
    const owner = owners[(from + step) % owners.length] ?? 0;
    if (seen[owner] === 1) continue;
    seen[owner] = 1;
    found.push(owner);
  }
  return found;
}

/** The part of the key space that each member owns. */
export function arcs({ hashes, owners }: Points, count: number): number[] {
  const lengths = Array.from({ length: count }, () => 0);
  let before = (hashes.at(-1) ?? 0) - keySpace;
  for (const [index, hash] of hashes.entries()) {
    const owner = owners[index] ?? 0;
    lengths[owner] = (lengths[owner] ?? 0) + hash - before;
    before = hash;
  }
  return lengths.map((length) => length / keySpace);
}

/** The part of the key space for which `differs` holds, of the owners in both. */
export function differing(a: Points, b: Points, differs: (ownerInA: number, ownerInB: number) => boolean): number {
  const bounds = Float64Array.from([...a.hashes, ...b.hashes]).sort();
  let moved = 0;
  let before = (bounds.at(-1) ?? 0) - keySpace;
  for (const bound of bounds) {
    // All keys behind the bound before, up to this one, have the same owners.
    const [ownerInA = 0, ownerInB = 0] = [a.owners[findPoint(a, bound)], b.owners[findPoint(b, bound)]];
    if (bound > before && differs(ownerInA, ownerInB)) moved += bound - before;
    before = bound;
  }
  return moved / keySpace;
}
