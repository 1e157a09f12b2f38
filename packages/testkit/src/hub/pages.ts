import type { Bytes } from "./bytes.ts";

const pageBytes = 4096;
const templateBytes = 1024 * 1024;
const stampBytes = 16;

function templateFrom(seed: number): Buffer {
  const words = new Uint32Array(templateBytes / 4);
  // xorshift32 never leaves zero, so the state must not start there.
  let state = (seed ^ 0x9e37_79b9) >>> 0 || 1;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return Buffer.from(words.buffer);
}

/**
 * Bytes that cost a copy to make: a template of noise, drawn from the seed once and repeated, in which each 4 KiB page starts
 * with the blob's id and the page's number. So a byte served from another blob or another place never hashes right.
 */
export function makePages(seed: number): (id: number, size: number) => Bytes {
  const template = templateFrom(seed);
  const stamp = Buffer.alloc(stampBytes);

  const stampPage = (id: number, page: number, target: Buffer, offset: number): void => {
    stamp.writeBigUInt64LE(BigInt(id), 0);
    stamp.writeBigUInt64BE(BigInt(page), 8);
    const at = page * pageBytes - offset;
    const from = Math.max(0, -at);
    const to = Math.min(stampBytes, target.length - at);
    if (from < to) stamp.copy(target, at + from, from, to);
  };

  return (id, size) => ({
    size,
    copy(target, offset) {
      for (let done = 0; done < target.length;) {
        const at = (offset + done) % templateBytes;
        done += template.copy(target, done, at, Math.min(templateBytes, at + target.length - done));
      }
      const last = Math.floor((offset + target.length - 1) / pageBytes);
      for (let page = Math.floor(offset / pageBytes); page <= last; page++) stampPage(id, page, target, offset);
    },
  });
}
