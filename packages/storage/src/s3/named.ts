import { createHash } from "node:crypto";

import { algorithmOf, hexOf, parseManifest, type Digest } from "@pullring/oci";

import { linkedDigest, type Keys } from "./keys.ts";
import type { KeptSet } from "./kept-set.ts";
import { limits } from "./limits.ts";
import type { Objects } from "./objects.ts";
import { parseRecord } from "./record-text.ts";

/**
 * What tag records name: the digest, and all that its manifest names, through indexes. Rejects when something can't be read: what
 * is not known to be free stays.
 */
export class Named {
  readonly #keys: Keys;
  readonly #objects: Objects;
  readonly #kept: KeptSet;
  /** Tag records that were followed, by what they were then. */
  readonly #followed = new Map<string, string>();
  readonly #manifests = new Set<Digest>();

  constructor({ keys, objects, kept }: { keys: Keys; objects: Objects; kept: KeptSet }) {
    this.#keys = keys;
    this.#objects = objects;
    this.#kept = kept;
  }

  /** Follows the tag records that are new or changed since the last call. */
  async follow(): Promise<void> {
    const running = new Set<Promise<void>>();
    for await (const { key, tag } of this.#objects.list(this.#keys.records)) {
      if (!/_tags\/[^/]*$/.test(key) && !key.startsWith(`${this.#keys.records}_long/tag/`)) continue;
      if (this.#followed.get(key) === tag) continue;
      const following = this.#followTag(key).then(() => void this.#followed.set(key, tag));
      running.add(following);
      following.then(
        () => running.delete(following),
        () => {},
      );
      if (running.size >= limits.sweepConcurrency) await Promise.race(running);
    }
    await Promise.all(running);
  }

  async #followTag(key: string): Promise<void> {
    const record = await this.#objects.read(key);
    // It was removed meanwhile.
    if (!record) return;
    const digest = (parseRecord(String(record))?.value as { digest?: Digest } | undefined)?.digest;
    if (digest === undefined) throw new Error(`a tag record can't be read: ${key}`);
    if (await this.#followManifest(digest, 0)) return;
    // Without its manifest nobody knows what the tag names: all that is linked beside it stays.
    for await (const { key: link } of this.#objects.list(this.#keys.linksBeside(key))) {
      const linked = linkedDigest(link);
      if (linked) this.#kept.add(linked);
    }
  }

  /** Whether all that it names is known. A child of an index that is not there was never pulled, so its blobs are not there either. */
  async #followManifest(digest: Digest, depth: number): Promise<boolean> {
    this.#kept.add(digest);
    if (this.#manifests.has(digest)) return true;
    const bytes = await this.#objects.read(this.#keys.blob(digest));
    if (!bytes) return depth > 0;
    const sum = createHash(algorithmOf(digest)).update(bytes).digest("hex");
    const manifest = sum === hexOf(digest) ? parseManifest(bytes) : undefined;
    if (!manifest) return false;
    let isKnown = true;
    for (const child of manifest.descriptors) {
      this.#kept.add(child.digest);
      if (child.kind === "manifest" && depth < limits.manifestDepthMax)
        isKnown = (await this.#followManifest(child.digest, depth + 1)) && isKnown;
    }
    if (isKnown) this.#manifests.add(digest);
    return isKnown;
  }
}
