import type { Descriptor, Digest } from "@pullring/oci";

import { hasCode, PullringError } from "./errors.ts";
import { makeFlights } from "./flights.ts";
import {
  repositoryKey,
  type Access,
  type BlobSource,
  type ManifestSource,
  type RecordStore,
  type Repository,
} from "./ports.ts";

/** That a repository contains a digest, by a manifest that was verified there or by upstream's own word. */
export interface Link {
  readonly kind: "manifest" | "blob";
  readonly mediaType?: string;
  readonly size?: number;
  readonly access: Access;
}

/** Who may have which bytes: bytes are shared, rights are not. */
export interface Links {
  get(repository: Repository, digest: Digest): Promise<Link | undefined>;
  put(repository: Repository, digest: Digest, link: Link): Promise<void>;
  /** Links a manifest and all that it names, before any of its readers finishes. */
  putManifest(
    repository: Repository,
    manifest: Descriptor & { access: Access },
    named: readonly Descriptor[],
  ): Promise<void>;
  /**
   * Settles whether bytes with this access may be served under the repository: by its link, else by one HEAD there.
   * Rejects with `missing`, or with what kept upstream from answering: a doubt is never decided for the client.
   */
  require(repository: Repository, wanted: { kind: "manifest" | "blob"; digest: Digest; access: Access }): Promise<void>;
}

export interface LinksOptions {
  readonly records: RecordStore;
  readonly manifests: ManifestSource;
  readonly blobs: BlobSource;
}

export function makeLinks(options: LinksOptions): Links {
  const { records } = options;
  const flights = makeFlights<void>();
  const keyOf = (repository: Repository, digest: Digest) => ({ repository, kind: "link" as const, name: digest });

  const get: Links["get"] = async (repository, digest) =>
    (await records.get(keyOf(repository, digest))) as Link | undefined;
  const put: Links["put"] = (repository, digest, link) => records.put(keyOf(repository, digest), link);

  async function ask(repository: Repository, kind: "manifest" | "blob", digest: Digest): Promise<void> {
    const source = kind === "manifest" ? options.manifests : options.blobs;
    const { lane, size } = await source.head(repository, digest).catch((error: unknown) => {
      if (!hasCode(error, "unsupported")) throw error;
      throw new PullringError("missing", "upstream can't tell whether the repository has this digest", {
        cause: error,
      });
    });
    await put(repository, digest, { kind, access: lane.access, ...(size === undefined ? {} : { size }) });
  }

  return {
    get,
    put,
    async putManifest(repository, manifest, named) {
      const linked = [manifest, ...named].map(({ kind, digest, mediaType, size }) =>
        put(repository, digest, { kind, mediaType, size, access: manifest.access }),
      );
      await Promise.all(linked);
    },
    async require(repository, { kind, digest, access }) {
      if (access === "public" || (await get(repository, digest))) return;
      const key = `${repositoryKey(repository)}@${digest}`;
      await flights.run(key, () => ask(repository, kind, digest)).result;
    },
  };
}
