import { createHash } from "node:crypto";

import type { BlobSource, Lane, ListSource, ManifestSource, Repository } from "@pullring/core";
import type { Digest, Reference } from "@pullring/oci";

type Verb = "manifest_head" | "manifest_get" | "blob_head" | "blob_get" | "tags" | "referrers";

/** Upstreams in memory behind the core's ports, with a count of every request and failures on demand. */
export interface ScriptedUpstream {
  readonly manifests: ManifestSource;
  readonly blobs: BlobSource;
  readonly lists: ListSource;
  /** Requests so far, as `manifest_get docker.io/library/a:latest`. */
  readonly requests: string[];
  count(verb: Verb): number;
  /** Puts bytes under a repository, perhaps with a tag; returns their digest. */
  put(repository: Repository, bytes: Buffer | string, facts?: { tag?: string; mediaType?: string }): Digest;
  /** The lane that answers for a repository; anonymous unless told. */
  lanes: (repository: Repository) => Lane;
  /** Called before every answer; what it throws or rejects with is the answer. */
  before: (verb: Verb, repository: Repository, reference: string) => void | Promise<void>;
  /** First byte asked for by each GET of a blob. */
  readonly offsets: number[];
  /** Called before every piece of a blob of `pieceBytes`; what it throws cuts the body there. */
  pace: (sent: number, digest: Digest) => void | Promise<void>;
  pieceBytes: number;
  /** What HEAD of a manifest leaves out. */
  headTells: { digest: boolean };
}

export const anonymousLane: Lane = { name: "anonymous@default@n1", access: "public" };
export const accountLane: Lane = { name: "ci@default@n1", access: "linked" };

interface Entry {
  readonly bytes: Buffer;
  readonly mediaType: string | undefined;
}

/** `missing` makes the error that an upstream without the thing rejects with. */
export function scriptedUpstream(missing: (what: string) => Error): ScriptedUpstream {
  const entries = new Map<string, Entry>();
  const tags = new Map<string, Digest>();
  const nameOf = ({ upstream, name }: Repository, reference: string): string => `${upstream}/${name}@${reference}`;

  async function answer(verb: Verb, repository: Repository, reference: string): Promise<Entry & { digest: Digest }> {
    scripted.requests.push(`${verb} ${nameOf(repository, reference)}`);
    await scripted.before(verb, repository, reference);
    const digest = tags.get(nameOf(repository, reference)) ?? (reference as Digest);
    const entry = entries.get(nameOf(repository, digest));
    if (!entry) throw missing(nameOf(repository, reference));
    return { ...entry, digest };
  }

  const typed = (mediaType: string | undefined) => (mediaType === undefined ? {} : { mediaType });

  const scripted: ScriptedUpstream = {
    requests: [],
    count: (verb) => scripted.requests.filter((request) => request.startsWith(`${verb} `)).length,
    lanes: () => anonymousLane,
    before: () => {},
    offsets: [],
    pace: () => {},
    pieceBytes: Number.MAX_SAFE_INTEGER,
    headTells: { digest: true },
    put(repository, content, { tag, mediaType } = {}) {
      const bytes = Buffer.from(content);
      const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}` as Digest;
      entries.set(nameOf(repository, digest), { bytes, mediaType });
      if (tag !== undefined) tags.set(nameOf(repository, tag), digest);
      return digest;
    },
    manifests: {
      async head(repository, reference: Reference) {
        const { bytes, mediaType, digest } = await answer("manifest_head", repository, reference);
        const lane = scripted.lanes(repository);
        return { lane, size: bytes.length, ...typed(mediaType), ...(scripted.headTells.digest ? { digest } : {}) };
      },
      async get(repository, reference: Reference) {
        const { bytes, mediaType, digest } = await answer("manifest_get", repository, reference);
        return { lane: scripted.lanes(repository), bytes, digest, ...typed(mediaType) };
      },
    },
    blobs: {
      async head(repository, digest) {
        const { bytes } = await answer("blob_head", repository, digest);
        return { lane: scripted.lanes(repository), size: bytes.length };
      },
      async get({ repository, digest, offset, end, signal }, sink) {
        scripted.offsets.push(offset);
        const { bytes } = await answer("blob_get", repository, digest);
        signal?.throwIfAborted();
        sink.head({ lane: scripted.lanes(repository), offset, size: bytes.length, resumable: true });
        const until = end ?? bytes.length;
        for (let at = offset; at < until; at += scripted.pieceBytes) {
          await scripted.pace(at, digest);
          signal?.throwIfAborted();
          await sink.write(bytes.subarray(at, Math.min(until, at + scripted.pieceBytes)));
        }
      },
    },
    lists: {
      async tags(repository, query) {
        scripted.requests.push(`tags ${nameOf(repository, query)}`);
        await scripted.before("tags", repository, query);
        const prefix = nameOf(repository, "");
        const names = [...tags.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
        return { lane: scripted.lanes(repository), body: { name: repository.name, tags: names } };
      },
      async referrers(repository, digest) {
        scripted.requests.push(`referrers ${nameOf(repository, digest)}`);
        await scripted.before("referrers", repository, digest);
        return { lane: scripted.lanes(repository), body: { schemaVersion: 2, manifests: [] } };
      },
    },
  };
  return scripted;
}
