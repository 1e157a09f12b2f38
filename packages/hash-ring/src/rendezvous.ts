import type { RingMember } from "./members.ts";

/** Two 32-bit words, well mixed: multiplication by odd constants and shifts, as in the finalisers of MurmurHash3. */
interface Words {
  readonly high: number;
  readonly low: number;
}

const [first, second, third, fourth] = [0x85_eb_ca_6b, 0xc2_b2_ae_35, 0x27_d4_eb_2f, 0x16_56_67_b1] as const;

const mixed = (word: number): number => {
  const once = Math.imul(word ^ (word >>> 16), first);
  const twice = Math.imul(once ^ (once >>> 13), second);
  return (twice ^ (twice >>> 16)) >>> 0;
};

export function hashWords(text: string): Words {
  let high = 0x9e_37_79_b9;
  let low = 0x7f_4a_7c_15;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    high = Math.imul(high ^ code, third);
    low = Math.imul(low ^ code, fourth);
    low ^= high >>> 15;
  }
  return { high: mixed(high), low: mixed(low ^ text.length) };
}

/** Weighted by Schindelhauer's method: −weight ÷ ln of an even number in (0, 1); the highest score owns the key. */
function score(key: Words, node: Words, weight: number): number {
  const high = mixed(key.high ^ node.low);
  const low = mixed(key.low ^ node.high ^ high);
  const even = (high * 2 ** 20 + (low >>> 12) + 0.5) / 2 ** 52;
  return -weight / Math.log(even);
}

/** Members by their score for the key, the owner first. */
export function ranking(members: readonly RingMember[], nodes: readonly Words[], key: string): number[] {
  const words = hashWords(key);
  const scores = members.map(({ weight }, index) => score(words, nodes[index] ?? words, weight));
  return members.map((_, index) => index).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
}

export function highest(members: readonly RingMember[], nodes: readonly Words[], key: string): number {
  const words = hashWords(key);
  let [best, bestScore] = [0, -Infinity];
  for (const [index, { weight }] of members.entries()) {
    const found = score(words, nodes[index] ?? words, weight);
    if (found > bestScore) [best, bestScore] = [index, found];
  }
  return best;
}
