import { repositoryKey, type Cache, type Clock, type TagRecord } from "@pullring/core";
import { parseManifest, type Digest } from "@pullring/oci";

import type { Config } from "../config/index.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Storage } from "../open-storage.ts";
import { byCode, imageName } from "./held-calls.ts";
import type { ImageFacts, ImagesQuery, TierFacts } from "./held-answers.ts";
import type { HeldHere, SharedFacts } from "./ports.ts";

export interface HeldHereOptions {
  readonly config: Pick<Config, "storage">;
  readonly storage: Pick<Storage, "memory" | "disk" | "s3" | "tags" | "linked">;
  readonly fills: Pick<Cache["fills"], "list">;
  readonly metrics: Pick<Metrics, "totals">;
  readonly clock: Pick<Clock, "monotonic">;
}

/** All tags are read from the disk for a page: those who page on, and several who look, share one reading. */
const readingMs = 2_000;
const imagesMax = 200_000;
const linksMax = 100;
/** Manifests of one image: an index has one for each platform, and attestations. */
const manifestsMax = 256;

type Listed = Pick<ImageFacts, "repository" | "tag" | "digest" | "mediaType" | "checkedAt">;

export function makeHeldHere({ config, storage, fills, metrics, clock }: HeldHereOptions): HeldHere {
  const { memory, disk, s3 } = storage;
  const late = { reading: undefined as Promise<readonly Listed[]> | undefined, untilMs: 0 };

  function listed(): Promise<readonly Listed[]> {
    if (late.reading && clock.monotonic() < late.untilMs) return late.reading;
    const reading = readTags(storage.tags());
    // The time begins when it is read, which may take longer than it lasts.
    Object.assign(late, { reading, untilMs: Infinity });
    const done = (): void => void (late.reading === reading && (late.untilMs = clock.monotonic() + readingMs));
    reading.then(done, () => (late.reading = undefined));
    return reading;
  }

  return {
    tiers: () => tiersOf({ config, storage, metrics }),
    async images({ after, match, limit }: ImagesQuery) {
      const found = (await listed()).filter((row) => imageName(row) > after && imageName(row).includes(match));
      return await Promise.all(
        found.slice(0, limit).map(async (row) => ({ ...row, ...(await sizesOf(disk, row.digest as Digest)) })),
      );
    },
    async blob(digest) {
      const stat = disk.stat(digest) ?? statOf(memory, digest);
      const running = fills.list().find((fill) => fill.digest === digest);
      const { bytes, size = null, source, readers } = running?.progress() ?? {};
      const repositories: string[] = [];
      for await (const repository of storage.linked(digest)) {
        repositories.push(repositoryKey(repository));
        if (repositories.length >= linksMax) break;
      }
      return {
        memory: memory.has(digest),
        disk: disk.stat(digest) !== undefined,
        size: stat?.size ?? null,
        access: stat?.access ?? null,
        fill: bytes === undefined ? null : { bytes, total: size, source: source ?? "none", readers: readers ?? 0 },
        repositories: repositories.sort(byCode),
      };
    },
    shared: (digest) => sharedOf(s3, digest),
  };
}

const statOf = (memory: Storage["memory"], digest: Digest) => {
  const entry = memory.has(digest) ? memory.get(digest) : undefined;
  return entry && { size: entry.bytes.length, access: entry.access };
};

function tiersOf({ config, storage, metrics }: Pick<HeldHereOptions, "config" | "storage" | "metrics">): TierFacts[] {
  const { memory, disk, s3 } = storage;
  const { answered, evicted } = metrics.totals();
  const usage = s3?.usage();
  const elsewhere = { bytes: null, bytesMax: null, objects: null, evictions: null };
  const rest = {
    memory: { ...atRest(memory), bytesMax: config.storage.memoryBytesMax, evictions: evicted.memory },
    disk: { ...atRest(disk), bytesMax: config.storage.disk.sizeBytesMax, evictions: evicted.disk },
    peer: elsewhere,
    ...(s3 && { s3: { ...elsewhere, bytes: usage?.bytes ?? null, objects: usage?.objects ?? null } }),
    upstream: elsewhere,
  };
  return Object.entries(rest).map(([tier, facts]) => {
    const { responses: hits = 0, bytes: sent = 0 } = answered[tier] ?? {};
    return { tier: tier as TierFacts["tier"], ...facts, hits, sent };
  });
}

const atRest = (tier: { bytes(): number; objects(): number }) => ({ bytes: tier.bytes(), objects: tier.objects() });

async function readTags(tags: ReturnType<Storage["tags"]>): Promise<readonly Listed[]> {
  const rows: Listed[] = [];
  for await (const { key, value } of tags) {
    const { digest, mediaType = null, checkedAt } = value as Partial<TagRecord>;
    if (digest === undefined || checkedAt === undefined) continue;
    const repository = repositoryKey(key.repository);
    rows.push({ repository, tag: key.name, digest, mediaType, checkedAt: new Date(checkedAt).toISOString() });
    if (rows.length >= imagesMax) break;
  }
  return rows.sort((a, b) => byCode(imageName(a), imageName(b)));
}

/** What an image's manifests name, each blob once, and how much of it is on the disk. */
async function sizesOf(disk: Storage["disk"], digest: Digest): Promise<Pick<ImageFacts, "bytes" | "here">> {
  const sizes = new Map<Digest, number>();
  const manifests: Digest[] = [digest];
  for (const each of manifests) {
    const bytes = sizes.has(each) ? undefined : await disk.peek(each);
    if (!bytes) continue;
    sizes.set(each, bytes.length);
    for (const named of parseManifest(bytes)?.descriptors ?? []) {
      if (named.kind === "blob") sizes.set(named.digest, named.size);
      else if (manifests.length < manifestsMax) manifests.push(named.digest);
    }
  }
  if (sizes.size === 0) return { bytes: null, here: null };
  const sum = (of: Iterable<number>): number => [...of].reduce((total, size) => total + size, 0);
  const here = [...sizes].filter(([each]) => disk.stat(each) !== undefined).map(([, size]) => size);
  return { bytes: sum(sizes.values()), here: sum(here) };
}

async function sharedOf(s3: Storage["s3"], digest: Digest): Promise<SharedFacts> {
  if (!s3) return { state: "none", size: null };
  if (s3.degraded() !== undefined) return { state: "unknown", size: null };
  const found = await s3.blobs.stat(digest);
  return found ? { state: "held", size: found.size } : { state: "absent", size: null };
}
