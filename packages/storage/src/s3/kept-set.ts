import { hexOf, isDigest, type Digest } from "@pullring/oci";

import { limits } from "./limits.ts";

/**
 * Digests that must stay, by their first 48 bits: a few dozen bytes each, and two that fall together keep one more than need be.
 * Throws when there are more than it can hold, for what it forgot could be removed.
 */
export class KeptSet {
  readonly #numbers = new Set<number>();

  add(digest: Digest): void {
    this.#numbers.add(numberOf(digest));
    if (this.#numbers.size > limits.keptMax) throw new Error("too many digests are in use to remove any from S3");
  }

  has(digest: Digest): boolean {
    return this.#numbers.has(numberOf(digest));
  }

  addLines(text: string): void {
    for (const line of text.split("\n")) if (isDigest(line)) this.add(line);
  }
}

const numberOf = (digest: Digest): number => Number.parseInt(hexOf(digest).slice(0, 12), 16);
