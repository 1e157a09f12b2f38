import { createHash } from "node:crypto";

import type { Digest } from "@pullring/oci";

/** Bytes of which no two stretches are alike, the same at every call. */
export function sampleBytes(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(Math.ceil(length / 4) * 4);
  let state = seed >>> 0;
  for (let at = 0; at < bytes.length; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE((state ^ (state >>> 15)) >>> 0, at);
  }
  return bytes.subarray(0, length);
}

export const sampleDigest = (bytes: Uint8Array, algorithm: "sha256" | "sha512" = "sha256"): Digest =>
  `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}` as Digest;
