import { createHash } from "node:crypto";

import {
  algorithmOf,
  parseManifest,
  type Descriptor,
  type Digest,
  type DigestAlgorithm,
  type Tag,
} from "@pullring/oci";

import type { Cluster, SharedBlobs } from "./cluster-ports.ts";
import { hasCode, PullringError } from "./errors.ts";
import { verdict } from "./fill-source.ts";
import { makeFlights } from "./flights.ts";
import { limits } from "./limits.ts";
import type { Links } from "./links.ts";
import type { Observe } from "./observe.ts";
import type { Place } from "./places.ts";
import {
  repositoryKey,
  type Access,
  type BlobStore,
  type Clock,
  type ManifestAnswer,
  type ManifestSource,
  type Repository,
} from "./ports.ts";
import type { Recent } from "./recent.ts";
import type { Role, Search, SearchOrder, Wanted } from "./search.ts";
import { readShared } from "./shared-manifest.ts";
import type { Tombstones } from "./tombstones.ts";

/** A verified manifest: its bytes hash to its digest. */
export interface HeldManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly access: Access;
}

export interface ServedManifest extends HeldManifest {
  readonly tier: "memory" | "disk" | Place["tier"];
  readonly joined: boolean;
}

export type ManifestFacts = Omit<ServedManifest, "bytes" | "digest" | "access"> & { readonly size: number };

export interface ManifestsOptions {
  readonly clock: Clock;
  readonly source: ManifestSource;
  readonly openSearch: (order: SearchOrder) => Search;
  readonly cluster?: Cluster | undefined;
  readonly shared?: SharedBlobs | undefined;
  readonly tombstones: Tombstones;
  readonly store: BlobStore;
  readonly links: Links;
  readonly missing: Recent<PullringError>;
  readonly observe: Observe;
  /** Told of every manifest that was verified and what it names. */
  readonly onSave: (digest: Digest, named: readonly Descriptor[]) => void;
}

type Fetched = HeldManifest & { readonly tier: Place["tier"] };

type Outcome = { readonly repository: Repository } & ({ readonly manifest: Fetched } | { readonly error: unknown });

/** An answer that hashes to the digest asked for, and where it came from. */
interface Taken {
  readonly answer: ManifestAnswer;
  readonly tier: Place["tier"];
}

/** Manifests by digest: held ones as their rights allow, others fetched once for everybody who asks meanwhile. */
export class Manifests {
  readonly #options: ManifestsOptions;
  /** Those that act as the owner, and those that may wait for a peer: a peer's `get` must not join one of these. */
  readonly #flights = makeFlights<Outcome>();
  readonly #forwards = makeFlights<Outcome>();

  constructor(options: ManifestsOptions) {
    this.#options = options;
  }

  /** Rejects with PullringError; `missing` is remembered for a while. For a peer the role is `owner`. */
  async get(repository: Repository, digest: Digest, role: Role = "forward"): Promise<ServedManifest> {
    const { links, missing } = this.#options;
    const key = `${repositoryKey(repository)}@${digest}`;
    for (;;) {
      const held = await this.getLocal(repository, digest);
      if (held) return held;
      const known = missing.get(key);
      if (known) throw known;
      const { result, joined } = this.#isForwarded(digest, role)
        ? this.#forwards.run(digest, () => this.#forward(repository, digest))
        : this.#fly(repository, digest);
      const outcome = await result;
      if ("manifest" in outcome) {
        const { manifest } = outcome;
        // A forward that ends here may have joined a flight of another repository, so having begun a flight says nothing.
        if (joined || repositoryKey(outcome.repository) !== repositoryKey(repository))
          await links.require(repository, { kind: "manifest", digest, access: manifest.access });
        return { ...manifest, joined };
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
    const held = await this.getLocal(repository, digest);
    if (held) return { ...held, size: held.bytes.length };
    const key = `${repositoryKey(repository)}@${digest}`;
    const known = missing.get(key);
    if (known) throw known;
    const link = await links.get(repository, digest);
    if (link?.kind === "manifest" && link.size !== undefined && link.mediaType !== undefined)
      return { mediaType: link.mediaType, size: link.size, tier: "disk", joined: false };
    if (await this.#isHeldElsewhere(repository, digest)) {
      const got = await this.get(repository, digest);
      return { ...got, size: got.bytes.length };
    }
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
    const beganAt = this.#options.clock.now();
    const answer = await this.#options.source.get(repository, tag);
    const digest = digestOf(answer.bytes, answer.digest ? algorithmOf(answer.digest) : "sha256");
    if (answer.digest && answer.digest !== digest) this.#refuse(repository, answer.digest, digest);
    if (!parseManifest(answer.bytes, answer.mediaType))
      throw new PullringError("missing", "upstream has only a schema 1 manifest, or none, under this tag");
    return this.#save(repository, digest, { answer, tier: "upstream", beganAt });
  }

  /** What is here, if the repository has the right to it. */
  async getLocal(repository: Repository, digest: Digest): Promise<ServedManifest | undefined> {
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

  #isForwarded(digest: Digest, role: Role): boolean {
    const owners = this.#options.cluster?.owners;
    return role === "forward" && owners !== undefined && owners.of(digest)[0] !== owners.self;
  }

  /** A flight's outcome names its repository, and a failed one is an outcome too. */
  async #outcome(repository: Repository, fetch: () => Promise<Fetched>): Promise<Outcome> {
    try {
      return { repository, manifest: await fetch() };
    } catch (error) {
      return { repository, error };
    }
  }

  /** Asks the owner; where this node turns out to act for it, joins what already does. */
  async #forward(repository: Repository, digest: Digest): Promise<Outcome> {
    const beganAt = this.#options.clock.now();
    const search = this.#options.openSearch({ repository, digest, role: "forward" });
    let isOurs = false;
    const outcome = await this.#outcome(repository, async () => {
      const got = await search.askOwners(this.#wanted(repository, digest));
      isOurs = got === undefined;
      if (!got) throw new PullringError("unreachable", "no owner of this digest can be reached");
      return this.#save(repository, digest, { ...got.value, beganAt });
    });
    return isOurs ? this.#fly(repository, digest).result : outcome;
  }

  #fly(repository: Repository, digest: Digest): { result: Promise<Outcome>; joined: boolean } {
    return this.#flights.run(digest, async () => {
      const beganAt = this.#options.clock.now();
      const search = this.#options.openSearch({ repository, digest, role: "owner" });
      const outcome = await this.#outcome(repository, async () => {
        const { value } = await search.actAsOwner(this.#wanted(repository, digest));
        return this.#save(repository, digest, { ...value, beganAt });
      });
      await search.close();
      return outcome;
    });
  }

  #wanted(repository: Repository, digest: Digest): Wanted<Taken> {
    return {
      signal: new AbortController().signal,
      received: () => 0,
      take: async (place) => {
        const answer = await this.#ask(place, repository, digest);
        const found = digestOf(answer.bytes, algorithmOf(digest));
        if (found === digest) return { answer, tier: place.tier };
        if (place.tier === "upstream") this.#refuse(repository, digest, found);
        throw new PullringError("corrupt", `the manifest hashes to ${found}`);
      },
    };
  }

  async #ask(place: Place, repository: Repository, digest: Digest): Promise<ManifestAnswer> {
    const { source, cluster, shared, links } = this.#options;
    if (place.tier === "peer" && cluster) {
      const { manifests } = cluster;
      if (place.verb === "read") return manifests.read(place.node, repository, digest);
      return manifests.get(place.node, repository, digest).catch(verdict);
    }
    if (place.tier === "s3" && shared) {
      const answer = await readShared(shared, repository, digest);
      // Peers and upstream check the right to it, S3 does not; saving it would write the very link that gives it.
      await links.require(repository, { kind: "manifest", digest, access: answer.lane.access });
      return answer;
    }
    return source.get(repository, digest);
  }

  /** Whether this node or another holds the bytes. */
  async isHeld(repository: Repository, digest: Digest): Promise<boolean> {
    return this.#options.store.stat(digest) !== undefined || (await this.#isHeldElsewhere(repository, digest));
  }

  async #isHeldElsewhere(repository: Repository, digest: Digest): Promise<boolean> {
    const { cluster } = this.#options;
    const others = cluster?.owners.others(digest).slice(0, limits.holdersAskedMax) ?? [];
    if (!cluster || others.length === 0) return false;
    const holders = await cluster.blobs.holders(others, repository, digest);
    return holders.some(({ state }) => state === "whole");
  }

  /** Publishes a manifest whose bytes hash to `digest`: links first, then the bytes. */
  async #save(repository: Repository, digest: Digest, taken: Taken & { readonly beganAt: number }): Promise<Fetched> {
    const { links, store, shared, tombstones, onSave } = this.#options;
    const { answer, tier, beganAt } = taken;
    const { bytes, lane } = answer;
    const parsed = parseManifest(bytes, answer.mediaType);
    const mediaType = parsed?.mediaType ?? typeOf(bytes, answer.mediaType);
    const named = parsed?.descriptors ?? [];
    const fetched = { digest, mediaType, bytes, access: lane.access, tier };
    const isPurged = (): boolean =>
      tier === "upstream" ? tombstones.isPurged(digest, beganAt) : tombstones.isCopyPurged(digest, beganAt);
    if (isPurged()) return fetched;
    const self = { kind: "manifest" as const, digest, mediaType, size: bytes.length, access: lane.access };
    await links.putManifest(repository, self, named);
    onSave(digest, named);
    const spool = await store.spool(digest, { onGrow: () => {} });
    await spool.append(bytes);
    const matches = (await spool.finish()) === digest;
    const isKept = await spool.settle(matches ? { keep: lane.access } : "drop");
    // A purge meanwhile found nothing to remove.
    if (isKept && isPurged()) await store.remove(digest);
    else if (isKept && tier === "upstream") shared?.upload(digest);
    return fetched;
  }

  #refuse({ upstream }: Repository, digest: Digest, found: Digest): never {
    const detail = `the manifest hashes to ${found}`;
    this.#options.observe({
      kind: "mismatch",
      source: "upstream",
      from: `upstream:${upstream}`,
      upstream,
      digest,
      detail,
    });
    throw new PullringError("corrupt", detail);
  }
}

const digestOf = (bytes: Buffer, algorithm: DigestAlgorithm): Digest =>
  `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}` as Digest;

const notManifest = (): PullringError => new PullringError("missing", "these bytes are no manifest here");

/** The media type of a manifest whose repository has no link that tells it. */
const typeOf = (bytes: Buffer, declared?: string): string =>
  parseManifest(bytes)?.mediaType ?? declared ?? "application/octet-stream";
