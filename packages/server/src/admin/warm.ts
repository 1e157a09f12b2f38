import { PullringError, type Cache, type Clock, type Repository } from "@pullring/core";
import { parseManifest, type Descriptor, type Digest } from "@pullring/oci";

import { drainBlob } from "./drain-blob.ts";
import { eachOf } from "./each-of.ts";
import type { WarmImage } from "./image-key.ts";
import { chooseManifests } from "./platforms.ts";
import type { WarmStep } from "./warm-answers.ts";

export interface WarmParts {
  readonly cache: Pick<Cache, "tags" | "manifests" | "blobs" | "fills">;
  readonly clock: Pick<Clock, "monotonic">;
  /** Whether the bytes are here, on another node or in S3. */
  readonly isHeld: (repository: Repository, digest: Digest) => Promise<boolean>;
  /** Asked before every manifest that is not held: rejects when what is left upstream is for others. */
  readonly mayAsk: (repository: Repository) => Promise<void>;
}

export interface WarmOrder {
  readonly images: readonly WarmImage[];
  readonly platforms: readonly string[];
  /** Ends it: the fills under way lose this reader, and go on only where that costs less than to begin again. */
  readonly signal: AbortSignal;
  /** A returned promise holds the work back. */
  readonly tell: (step: WarmStep) => void | Promise<void>;
}

type Summary = Extract<WarmStep, { step: "summary" }>;
type State = "held" | "fetched" | "failed";

/** Clients must not wait behind it: a node fetches 64 blobs at once, and 16 for one client. */
const imagesAtOnce = 2;
const blobsAtOnce = 3;
const progressMs = 500;

/** Fetches what is missing of images, by the way a client would get it. Rejects only when the signal ends it, or `tell`. */
export async function warm(parts: WarmParts, order: WarmOrder): Promise<Summary> {
  const warming = new Warming(parts, order);
  await eachOf(order.images, imagesAtOnce, (image) => warming.image(image));
  return warming.summary();
}

class Warming {
  readonly #parts: WarmParts;
  readonly #order: WarmOrder;
  readonly #startedMs: number;
  readonly #manifests: Record<State, number> = { held: 0, fetched: 0, failed: 0 };
  readonly #blobs: Record<State, number> = { held: 0, fetched: 0, failed: 0 };
  readonly #bytes = { held: 0, fetched: 0, known: 0, arrived: 0 };
  /** Images share layers: each is brought once. */
  readonly #asked = new Map<Digest, Promise<boolean>>();
  #imagesFailed = 0;
  #toldMs: number;

  constructor(parts: WarmParts, order: WarmOrder) {
    this.#parts = parts;
    this.#order = order;
    this.#startedMs = this.#toldMs = parts.clock.monotonic();
  }

  summary(): Summary {
    const { held, fetched } = this.#bytes;
    return {
      step: "summary",
      images: this.#order.images.length,
      failed: this.#imagesFailed,
      manifests: { ...this.#manifests },
      blobs: { ...this.#blobs },
      bytes: { held, fetched },
      ms: Math.round(this.#parts.clock.monotonic() - this.#startedMs),
    };
  }

  async image(image: WarmImage): Promise<void> {
    const { signal, tell } = this.#order;
    const { name } = image;
    try {
      signal.throwIfAborted();
      const { digest, manifests, blobs, isWhole } = await this.#named(image);
      const bytes = blobs.reduce((sum, { size }) => sum + size, 0);
      await tell({ step: "image", image: name, digest, manifests, blobs: blobs.length, bytes });
      const came: boolean[] = [];
      await eachOf(blobs, blobsAtOnce, async (blob) => void came.push(await this.#blobOnce(image, blob)));
      if (!isWhole || came.includes(false)) this.#imagesFailed += 1;
    } catch (error) {
      signal.throwIfAborted();
      this.#imagesFailed += 1;
      await tell({ step: "failed", image: name, error: wordsOf(error) });
    }
  }

  /** The image's manifests, brought here, and the blobs that they name, each once. */
  async #named(
    image: WarmImage,
  ): Promise<{ digest: Digest; manifests: number; blobs: Descriptor[]; isWhole: boolean }> {
    const { digest, bytes } = await this.#top(image);
    const chosen = chooseManifests(bytes, this.#order.platforms);
    if (chosen?.length === 0) throw new PullringError("missing", "the image has none of these platforms");
    const children = await Promise.all((chosen ?? []).map((choice) => this.#child(image, choice)));
    const found = chosen ? children.filter((child) => child !== undefined) : [bytes];
    const named = found.flatMap((each) => parseManifest(each)?.descriptors ?? []);
    const blobs = new Map(named.filter(({ kind }) => kind === "blob").map((blob) => [blob.digest, blob]));
    const isWhole = !children.includes(undefined);
    return { digest, manifests: 1 + children.length, blobs: [...blobs.values()], isWhole };
  }

  async #top(image: WarmImage): Promise<{ digest: Digest; bytes: Uint8Array }> {
    const { cache, isHeld, mayAsk } = this.#parts;
    const { repository, name, tag } = image;
    const digest = tag === undefined ? image.digest : (await cache.tags.resolve(repository, tag)).record.digest;
    const held = await isHeld(repository, digest);
    if (!held) await mayAsk(repository);
    // By the tag: its record moves with it.
    const found = await (tag === undefined ? cache.manifests.get(repository, digest) : cache.tags.get(repository, tag));
    await this.#tellManifest({ image: name, digest: found.digest, platform: null, state: held ? "held" : "fetched" });
    return found;
  }

  async #child(image: WarmImage, choice: { digest: Digest; platform: string | null }): Promise<Uint8Array | undefined> {
    const { cache, isHeld, mayAsk } = this.#parts;
    const { repository, name } = image;
    try {
      this.#order.signal.throwIfAborted();
      const held = await isHeld(repository, choice.digest);
      if (!held) await mayAsk(repository);
      const { bytes } = await cache.manifests.get(repository, choice.digest);
      await this.#tellManifest({ image: name, ...choice, state: held ? "held" : "fetched" });
      return bytes;
    } catch (error) {
      this.#order.signal.throwIfAborted();
      await this.#tellManifest({ image: name, ...choice, state: "failed", error: wordsOf(error) });
      return undefined;
    }
  }

  async #tellManifest(step: Omit<Extract<WarmStep, { step: "manifest" }>, "step">): Promise<void> {
    this.#manifests[step.state] += 1;
    await this.#order.tell({ step: "manifest", ...step });
  }

  #blobOnce(image: WarmImage, blob: Descriptor): Promise<boolean> {
    const asked = this.#asked.get(blob.digest) ?? this.#blob(image, blob);
    this.#asked.set(blob.digest, asked);
    return asked;
  }

  /** Resolves to whether the blob is there. */
  async #blob(image: WarmImage, blob: Descriptor): Promise<boolean> {
    const { signal, tell } = this.#order;
    const { digest, size: bytes } = blob;
    this.#bytes.known += bytes;
    const told = { step: "blob", image: image.name, digest, bytes } as const;
    try {
      signal.throwIfAborted();
      const state = await this.#bring(image.repository, blob);
      this.#blobs[state] += 1;
      this.#bytes[state] += bytes;
      await tell({ ...told, state });
      return true;
    } catch (error) {
      signal.throwIfAborted();
      this.#blobs.failed += 1;
      await tell({ ...told, state: "failed", error: wordsOf(error) });
      return false;
    }
  }

  async #bring(repository: Repository, { digest, size }: Descriptor): Promise<"held" | "fetched"> {
    const { cache, isHeld } = this.#parts;
    const { signal } = this.#order;
    if (await isHeld(repository, digest)) {
      this.#bytes.arrived += size;
      return "held";
    }
    const onBytes = (more: number): Promise<void> => this.#progress(more);
    const ended = await drainBlob(cache, { repository, digest, client: "warm" }, { signal, onBytes });
    if (await isHeld(repository, digest)) return "fetched";
    await ended();
    if (!(await isHeld(repository, digest)))
      throw new PullringError("unavailable", "it came, and could not be kept: see the log");
    return "fetched";
  }

  async #progress(more: number): Promise<void> {
    this.#bytes.arrived += more;
    const nowMs = this.#parts.clock.monotonic();
    if (nowMs - this.#toldMs < progressMs) return;
    this.#toldMs = nowMs;
    const blobs = this.#blobs.held + this.#blobs.fetched + this.#blobs.failed;
    const { arrived, known } = this.#bytes;
    await this.#order.tell({ step: "progress", blobs, blobsAll: this.#asked.size, bytes: arrived, bytesAll: known });
  }
}

/** For whoever ordered it; what is no error of the cache's is told in the log only. */
const wordsOf = (error: unknown): string =>
  error instanceof PullringError ? `${error.code}: ${error.message}` : "failed inside this node: see its log";
