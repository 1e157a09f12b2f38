import type { Digest } from "@pullring/oci";

import { hasCode, PullringError } from "./errors.ts";
import type { Fill } from "./fill.ts";
import type { Fills } from "./fills.ts";
import type { Links } from "./links.ts";
import { repositoryKey, type BlobSource, type BlobStore, type Body, type Repository } from "./ports.ts";
import type { Recent } from "./recent.ts";

export interface OpenBlob {
  readonly body: Body;
  readonly tier: "memory" | "disk" | "upstream";
  /** It reads a fill that another request began. */
  readonly joined: boolean;
}

export interface BlobOrder {
  readonly repository: Repository;
  readonly digest: Digest;
  /** Address of the client, for its share of the fills. */
  readonly client: string;
  /** It goes on with a body that was cut: refused for a while after the cut, so that the client goes elsewhere. */
  readonly resumes?: boolean;
}

export interface BlobsOptions {
  readonly store: BlobStore;
  readonly fills: Fills;
  readonly links: Links;
  readonly source: BlobSource;
  readonly missing: Recent<PullringError>;
}

export class Blobs {
  readonly #options: BlobsOptions;

  constructor(options: BlobsOptions) {
    this.#options = options;
  }

  /** Opens the blob for one response; the caller closes the body. */
  async open(order: BlobOrder): Promise<OpenBlob> {
    const { store, fills, links, missing } = this.#options;
    const { repository, digest } = order;
    const key = `${repositoryKey(repository)}@${digest}`;
    for (;;) {
      const local = await this.#openLocal(order);
      if (local) return local;
      const size = (await links.get(repository, digest))?.size;
      const known = missing.get(key) ?? (order.resumes && fills.wasCut(digest) ? cutBefore() : undefined);
      if (known) throw known;
      // No await from here to the start: between a look and a start another request could begin the same fill.
      const running = fills.running(digest);
      if (!running && store.stat(digest)) continue;
      const fill = running ?? fills.start({ ...order, ...(size === undefined ? {} : { sizeExpected: size }) });
      try {
        return { body: await this.#join(fill, order), tier: "upstream", joined: running !== undefined };
      } catch (error) {
        if (running && (await this.#mayFillItself(running, { order, error }))) continue;
        this.#remember(key, error);
        throw error;
      }
    }
  }

  /** Size, for a client's HEAD; costs no GET. */
  async stat(repository: Repository, digest: Digest): Promise<{ size: number; tier: OpenBlob["tier"] }> {
    const { store, links, missing, source } = this.#options;
    const held = store.stat(digest);
    if (held) {
      await links.require(repository, { kind: "blob", digest, access: held.access });
      return { size: held.size, tier: "disk" };
    }
    const linked = (await links.get(repository, digest))?.size;
    if (linked !== undefined) return { size: linked, tier: "disk" };
    const key = `${repositoryKey(repository)}@${digest}`;
    const known = missing.get(key);
    if (known) throw known;
    try {
      const { lane, size } = await source.head(repository, digest);
      if (size === undefined) throw new PullringError("unavailable", "upstream does not tell the size of this blob");
      await links.put(repository, digest, { kind: "blob", access: lane.access, size });
      return { size, tier: "upstream" };
    } catch (error) {
      this.#remember(key, error);
      throw error;
    }
  }

  async #openLocal({ repository, digest }: BlobOrder): Promise<OpenBlob | undefined> {
    const { store, links } = this.#options;
    const stat = store.stat(digest);
    if (!stat) return undefined;
    await links.require(repository, { kind: "blob", digest, access: stat.access });
    const stored = await store.open(digest);
    return stored && { body: stored.body, tier: stored.tier, joined: false };
  }

  /** A fill's bytes are whose its lane says, so a joiner from another repository needs rights of its own. */
  async #join(fill: Fill, { repository, digest }: BlobOrder): Promise<Body> {
    if (repositoryKey(fill.repository) !== repositoryKey(repository))
      await this.#options.links.require(repository, { kind: "blob", digest, access: await fill.access });
    return fill.open();
  }

  /**
   * Whether a failed join means nothing for this order: the fill went under another repository, which has no rights to the
   * blob, or its first bytes are gone.
   */
  async #mayFillItself(fill: Fill, { order, error }: { order: BlobOrder; error: unknown }): Promise<boolean> {
    if (hasCode(error, "cut") && !fill.joinable()) return true;
    if (!hasCode(error, "missing") || repositoryKey(fill.repository) === repositoryKey(order.repository)) return false;
    return fill.access.then(
      () => false,
      () => true,
    );
  }

  #remember(key: string, error: unknown): void {
    if (hasCode(error, "missing") && error.reason !== "refused") this.#options.missing.set(key, error);
  }
}

const cutBefore = (): PullringError =>
  new PullringError("unavailable", "this blob could not be brought to its end a moment ago");
