import { createHash } from "node:crypto";

import {
  algorithmOf,
  parseManifest,
  type Descriptor,
  type Digest,
  type DigestAlgorithm,
  type Tag,
} from "@pullring/oci";

import { hasCode, PullringError } from "./errors.ts";
import { makeFlights } from "./flights.ts";
import { limits } from "./limits.ts";
import type { Links } from "./links.ts";
import type { Observe } from "./observe.ts";
import {
  repositoryKey,
  type Access,
  type BlobStore,
  type ManifestAnswer,
  type ManifestSource,
  type Repository,
} from "./ports.ts";
import type { Recent } from "./recent.ts";

/** A verified manifest: its bytes hash to its digest. */
export interface HeldManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly access: Access;
}

export interface ServedManifest extends HeldManifest {
  readonly tier: "memory" | "disk" | "upstream";
  readonly joined: boolean;
}

export type ManifestFacts = Omit<ServedManifest, "bytes" | "digest" | "access"> & { readonly size: number };

export interface ManifestsOptions {
  readonly source: ManifestSource;
  readonly store: BlobStore;
  readonly links: Links;
  readonly missing: Recent<PullringError>;
  readonly observe: Observe;
  /** Told of every manifest that was verified and what it names. */
  readonly onSave: (digest: Digest, named: readonly Descriptor[]) => void;
}

type Outcome = { readonly repository: Repository } & (
  | { readonly manifest: HeldManifest }
  | { readonly error: unknown }
);

/** Manifests by digest: held ones as their rights allow, others fetched once for everybody who asks meanwhile. */
export class Manifests {
  readonly #options: ManifestsOptions;
  readonly #flights = makeFlights<Outcome>();

  constructor(options: ManifestsOptions) {
    this.#options = options;
  }

  /** Rejects with PullringError; `missing` is remembered for a while. */
  async get(repository: Repository, digest: Digest): Promise<ServedManifest> {
    const { links, missing } = this.#options;
    const key = `${repositoryKey(repository)}@${digest}`;
    for (;;) {
      const held = await this.#openLocal(repository, digest);
      if (held) return held;
      const known = missing.get(key);
      if (known) throw known;
      const { result, joined } = this.#fly(repository, digest);
      const outcome = await result;
      if ("manifest" in outcome) {
        const { manifest } = outcome;
        if (joined) await links.require(repository, { kind: "manifest", digest, access: manifest.access });
        return { ...manifest, tier: "upstream", joined };
      }
      const { error } = outcome;
      // Want of rights under another repository says nothing about this one.
      if (hasCode(error, "missing") && repositoryKey(outcome.repository) !== repositoryKey(repository)) continue;
      if (hasCode(error, "missing") && error.reason !== "refused") missing.set(key, error);
      throw error;
    }
  }

  /** What a client's HEAD by digest is told; costs no GET unless upstream refuses HEAD. */
  async stat(repository: Repository, digest: Digest): Promise<ManifestFacts> {
    const { links, missing, source } = this.#options;
    const held = await this.#openLocal(repository, digest);
    if (held) return { ...held, size: held.bytes.length };
    const key = `${repositoryKey(repository)}@${digest}`;
    const known = missing.get(key);
    if (known) throw known;
    const link = await links.get(repository, digest);
    if (link?.kind === "manifest" && link.size !== undefined && link.mediaType !== undefined)
      return { mediaType: link.mediaType, size: link.size, tier: "disk", joined: false };
    const head = await source.head(repository, digest).catch((error: unknown) => {
      if (hasCode(error, "unsupported")) return undefined;
      if (hasCode(error, "missing") && error.reason !== "refused") missing.set(key, error);
      throw error;
    });
    if (head?.mediaType !== undefined && head.size !== undefined)
      return { mediaType: head.mediaType, size: head.size, tier: "upstream", joined: false };
    const got = await this.get(repository, digest);
    return { ...got, size: got.bytes.length };
  }

  /** One counted GET by tag, for upstreams whose HEAD tells no digest. */
  async getByTag(repository: Repository, tag: Tag): Promise<HeldManifest> {
    const answer = await this.#options.source.get(repository, tag);
    const digest = digestOf(answer.bytes, answer.digest ? algorithmOf(answer.digest) : "sha256");
    if (answer.digest && answer.digest !== digest) this.#refuse(repository, answer.digest, digest);
    if (!parseManifest(answer.bytes, answer.mediaType))
      throw new PullringError("missing", "upstream has only a schema 1 manifest, or none, under this tag");
    return this.#save(repository, digest, answer);
  }

  async #openLocal(repository: Repository, digest: Digest): Promise<ServedManifest | undefined> {
    const { store, links } = this.#options;
    const stat = store.stat(digest);
    if (!stat) return undefined;
    if (stat.size > limits.manifestBytesMax) throw notManifest();
    await links.require(repository, { kind: "manifest", digest, access: stat.access });
    const stored = await store.read(digest);
    if (!stored) return undefined;
    const link = await links.get(repository, digest);
    if (link?.kind === "blob" || (!link && !parseManifest(stored.bytes))) throw notManifest();
    return { ...stored, digest, mediaType: link?.mediaType ?? typeOf(stored.bytes), joined: false };
  }

  /** A flight's outcome names its repository, and a failed one is an outcome too. */
  #fly(repository: Repository, digest: Digest): { result: Promise<Outcome>; joined: boolean } {
    return this.#flights.run(digest, () =>
      this.#fetch(repository, digest).then(
        (manifest) => ({ repository, manifest }),
        (error: unknown) => ({ repository, error }),
      ),
    );
  }

  async #fetch(repository: Repository, digest: Digest): Promise<HeldManifest> {
    const answer = await this.#options.source.get(repository, digest);
    const found = digestOf(answer.bytes, algorithmOf(digest));
    if (found !== digest) this.#refuse(repository, digest, found);
    return this.#save(repository, digest, answer);
  }

  /** Publishes a manifest whose bytes hash to `digest`: links first, then the bytes. */
  async #save(repository: Repository, digest: Digest, answer: ManifestAnswer): Promise<HeldManifest> {
    const { links, store, onSave } = this.#options;
    const { bytes, lane } = answer;
    const parsed = parseManifest(bytes, answer.mediaType);
    const mediaType = parsed?.mediaType ?? typeOf(bytes, answer.mediaType);
    const named = parsed?.descriptors ?? [];
    const self = { kind: "manifest" as const, digest, mediaType, size: bytes.length, access: lane.access };
    await links.putManifest(repository, self, named);
    onSave(digest, named);
    const spool = await store.spool(digest, { onGrow: () => {} });
    await spool.append(bytes);
    const matches = (await spool.finish()) === digest;
    await spool.settle(matches ? { keep: lane.access } : "drop");
    return { digest, mediaType, bytes, access: lane.access };
  }

  #refuse({ upstream }: Repository, digest: Digest, found: Digest): never {
    const detail = `the manifest hashes to ${found}`;
    this.#options.observe({ kind: "mismatch", source: "upstream", upstream, digest, detail });
    throw new PullringError("corrupt", detail);
  }
}

const digestOf = (bytes: Buffer, algorithm: DigestAlgorithm): Digest =>
  `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}` as Digest;

const notManifest = (): PullringError => new PullringError("missing", "these bytes are no manifest here");

/** The media type of a manifest whose repository has no link that tells it. */
const typeOf = (bytes: Buffer, declared?: string): string =>
  parseManifest(bytes)?.mediaType ?? declared ?? "application/octet-stream";
