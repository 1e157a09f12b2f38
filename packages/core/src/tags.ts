import type { Digest, Tag } from "@pullring/oci";

import type { Cluster, NodeId, ResolvedTag } from "./cluster-ports.ts";
import { hasCode, type PullringError } from "./errors.ts";
import { makeFlights } from "./flights.ts";
import {
  checkMs,
  isFresh,
  staleOr,
  staleSince,
  withDeadline,
  type Aging,
  type FreshnessOptions,
  type Stale,
} from "./freshness.ts";
import { HotTags } from "./hot-tags.ts";
import { limits } from "./limits.ts";
import type { HeldManifest, Manifests, ServedManifest } from "./manifests.ts";
import type { Observe } from "./observe.ts";
import {
  repositoryKey,
  type Access,
  type Clock,
  type ManifestSource,
  type RecordStore,
  type Repository,
} from "./ports.ts";
import { makeRecent, type Recent } from "./recent.ts";
import type { Role } from "./search.ts";
import type { Tombstones } from "./tombstones.ts";

/** What a tag pointed at when upstream was last asked. */
export interface TagRecord extends Aging {
  readonly digest: Digest;
  readonly mediaType?: string;
  readonly size?: number;
}

export interface TagPolicy {
  freshMs(repository: Repository, tag: Tag): number;
}

export interface Resolved {
  readonly record: TagRecord;
  readonly stale?: Stale;
  readonly joined: boolean;
  /** Whether upstream was asked for this answer. */
  readonly asked: boolean;
}

export interface TagsOptions {
  readonly clock: Clock;
  readonly records: RecordStore;
  readonly source: ManifestSource;
  readonly manifests: Manifests;
  readonly cluster?: Cluster | undefined;
  readonly tombstones: Tombstones;
  readonly policy: TagPolicy;
  readonly staleIfErrorMs: number;
  /** Whether tags that are asked for again and again are checked before their windows end. */
  readonly refreshHot?: boolean | undefined;
  readonly missing: Recent<PullringError>;
  readonly observe: Observe;
  /** Told when a record has moved to a digest that is held. */
  readonly onMove: (repository: Repository, tag: Tag, digest: Digest) => void;
}

interface Seen {
  readonly record: TagRecord;
  /** A GET by tag brings the manifest along. */
  readonly manifest?: HeldManifest;
  /** The tag's owner could not ask upstream. */
  readonly stale?: Stale;
}

interface Latest extends Resolved {
  /** The record to fall back on. */
  readonly old?: TagRecord;
  readonly manifest?: HeldManifest;
}

/**
 * Tags: first a question about freshness. Within its window a record answers; past it one HEAD asks, for everybody who waits;
 * only a new digest costs a GET; when upstream can't be asked the old record answers, as stale. In a cluster the tag's owner asks.
 */
export class Tags {
  readonly #options: TagsOptions;
  /** Questions to upstream, and those to the tag's owner: whom a peer asks must not wait for a peer. */
  readonly #checks = makeFlights<Seen>();
  readonly #forwards = makeFlights<Seen>();
  readonly #moves = makeFlights<void>();
  /** What a HEAD told of a tag whose manifest is not held yet: a record must not move before its bytes are here. */
  readonly #seen: Recent<TagRecord>;
  readonly #headRefused: Recent<true>;
  readonly #headTold: Recent<true>;
  readonly #hot: HotTags | undefined;

  constructor(options: TagsOptions) {
    const entriesMax = limits.negativesMax;
    this.#options = options;
    this.#seen = makeRecent(options.clock, { ttlMs: limits.seenMs, entriesMax });
    this.#headRefused = makeRecent(options.clock, { ttlMs: limits.headRefusedMs, entriesMax });
    this.#headTold = makeRecent(options.clock, { ttlMs: limits.headRefusedMs, entriesMax });
    const { clock, policy, refreshHot } = options;
    if (refreshHot)
      this.#hot = new HotTags({
        clock,
        freshMs: (repository, tag) => policy.freshMs(repository, tag),
        isOurs: (repository, tag) => !this.#isForwarded(tagKey(repository, tag), "forward"),
        refresh: (repository, tag) => this.#refresh(repository, tag),
      });
  }

  /** What the tag points at, at the cost of a HEAD at most: for a client's HEAD. */
  async resolve(repository: Repository, tag: Tag): Promise<Resolved> {
    const latest = await this.#latest(repository, tag);
    return this.#counted((await this.#servable(repository, tag, latest)) ?? latest);
  }

  async get(repository: Repository, tag: Tag): Promise<ServedManifest & Omit<Resolved, "record">> {
    const { manifests } = this.#options;
    const { record, old, manifest, ...how } = await this.#latest(repository, tag, "fetch");
    if (manifest) return { ...manifest, ...how, tier: "upstream" };
    try {
      const served = await manifests.get(repository, record.digest);
      if (record !== old) await this.#move(repository, tag, record);
      return this.#counted({ ...served, ...how, joined: how.joined || served.joined });
    } catch (error) {
      if (hasCode(error, "missing")) throw error;
      const last = await this.#before(repository, tag, { record, ...(old && { old }) });
      if (!last) throw error;
      const stale = this.#staleOr(last, error, { repository, tag });
      return this.#counted({ ...(await manifests.get(repository, last.digest)), ...how, stale });
    }
  }

  /** Where a HEAD is followed by a GET of the digest that it names, it must name one that can be had. */
  async #servable(repository: Repository, tag: Tag, latest: Latest): Promise<Resolved | undefined> {
    const { source, manifests } = this.#options;
    const { record, old, joined, asked, stale } = latest;
    if (stale || latest.manifest || old?.digest === record.digest) return undefined;
    const refusal = await source.refusal?.(repository, record.digest);
    if (!refusal || (await manifests.isHeld(repository, record.digest))) return undefined;
    const last = await this.#before(repository, tag, latest);
    return last && { record: last, stale: this.#staleOr(last, refusal, { repository, tag }), joined, asked };
  }

  /** What the tag pointed at before, as this node or else another has it written down. */
  async #before(
    repository: Repository,
    tag: Tag,
    { record, old }: Pick<Latest, "record" | "old">,
  ): Promise<TagRecord | undefined> {
    const before = old ?? (await this.#askAround(repository, tag));
    return before?.digest === record.digest ? undefined : before;
  }

  /** For a peer, as the tag's owner: asks no other peer. */
  async answer(repository: Repository, tag: Tag): Promise<ResolvedTag & { readonly joined: boolean }> {
    const { record, old, stale, joined } = await this.#latest(repository, tag, "owner");
    if (record.digest !== old?.digest) this.#moveOnceHeld(repository, tag, record);
    return { record, joined, ...(stale ? { stale } : {}) };
  }

  /** What was learnt of the tag and not written down yet. */
  async forget(repository: Repository, tag: Tag): Promise<void> {
    this.#seen.delete(tagKey(repository, tag));
    await this.#options.records.remove(recordKey(repository, tag));
  }

  /** The newest that is known, upstream asked if need be. */
  async #latest(repository: Repository, tag: Tag, role: Role | "fetch" = "forward"): Promise<Latest> {
    const { clock, policy, source } = this.#options;
    const key = tagKey(repository, tag);
    const old = await this.#record(repository, tag);
    const known = newest(old, this.#unpurged(repository, tag, this.#seen.get(key)));
    const fallback = old ? { old } : {};
    if (known && isFresh(known, policy.freshMs(repository, tag), clock)) {
      this.#hot?.asked(repository, tag, known.checkedAt);
      return { record: known, joined: false, asked: false, ...fallback };
    }
    const missing = this.#options.missing.get(key);
    if (missing) throw missing;
    // Of a tag that nobody here ever had a HEAD would only name what can't be fetched.
    const refusal = role === "fetch" && !known ? await source.refusal?.(repository, tag) : undefined;
    if (refusal && !(await this.#askAround(repository, tag))) throw refusal;
    const { result, joined } = this.#isForwarded(key, role)
      ? this.#forwards.run(key, () => this.#askOwner(repository, tag, old))
      : this.#checks.run(key, () => this.#check(repository, tag, old));
    try {
      const seen = await result;
      if (!seen.stale) this.#hot?.asked(repository, tag, seen.record.checkedAt);
      return { ...seen, joined, asked: true, ...fallback };
    } catch (error) {
      if (hasCode(error, "missing") && !joined) await this.#forgetMissing(repository, tag, error);
      const record = old ?? (hasCode(error, "missing") ? undefined : await this.#askAround(repository, tag));
      const stale = this.#staleOr(record, error, { repository, tag });
      if (!record) throw error;
      return { record, stale, joined, asked: true, ...fallback };
    }
  }

  /** What this node has written down, for a peer that can't be told by upstream. */
  recall(repository: Repository, tag: Tag): Promise<TagRecord | undefined> {
    return this.#record(repository, tag);
  }

  /** The newest of what other nodes have written down: leaves, asked all at once and for a short time. */
  async #askAround(repository: Repository, tag: Tag): Promise<TagRecord | undefined> {
    const { cluster, clock } = this.#options;
    if (!cluster) return undefined;
    const others = cluster.owners.others(tagKey(repository, tag)).slice(0, limits.holdersAskedMax);
    let found: TagRecord | undefined;
    const ask = async (node: NodeId): Promise<void> => {
      const told = await cluster.manifests.resolve(node, repository, tag, "read").catch(() => undefined);
      found = newest(found, this.#unpurged(repository, tag, told?.record));
    };
    const ended = new AbortController();
    const late = clock.sleep(limits.askAroundMs, ended.signal).catch(() => {});
    await Promise.race([Promise.all(others.map(ask)), late]);
    ended.abort();
    return found;
  }

  #isForwarded(key: string, role: Role | "fetch"): boolean {
    const owners = this.#options.cluster?.owners;
    return role !== "owner" && owners !== undefined && owners.of(key)[0] !== owners.self;
  }

  /** What the tag's owner answers is the answer, a refusal too; the next one is asked, or upstream, when it can't be reached. */
  async #askOwner(repository: Repository, tag: Tag, old: TagRecord | undefined): Promise<Seen> {
    const { cluster, clock } = this.#options;
    const key = tagKey(repository, tag);
    for (const node of cluster?.owners.of(key).slice(0, limits.ownersAskedMax) ?? []) {
      if (node === cluster?.owners.self) break;
      const ask = async (): Promise<ResolvedTag | undefined> => cluster?.manifests.resolve(node, repository, tag);
      // One that has no record waits for upstream as for a cold tag: longer than who has one to fall back on should.
      const told = await (old ? withDeadline(clock, limits.ownerCheckMs, ask) : ask()).catch(unreachable);
      if (told) return this.#adopt(told, old, { repository, tag });
    }
    return this.#checks.run(key, () => this.#check(repository, tag, old)).result;
  }

  async #adopt(told: ResolvedTag, old: TagRecord | undefined, of: { repository: Repository; tag: Tag }): Promise<Seen> {
    const { repository, tag } = of;
    const { record, stale } = told;
    if (stale && old && old.checkedAt >= record.checkedAt)
      return { record: old, stale: staleSince(old, stale.reason, this.#aging(of)) };
    if (old?.digest === record.digest) await this.#put(repository, tag, record);
    else this.#seen.set(tagKey(repository, tag), record);
    return { record, ...(stale ? { stale } : {}) };
  }

  /**
   * The digest that a peer was told is fetched by the peer, where its own owner is. When somebody holds it the record moves here
   * too, so that this node can still tell when upstream is down.
   */
  #moveOnceHeld(repository: Repository, tag: Tag, record: TagRecord): void {
    const { clock, manifests } = this.#options;
    const move = async (): Promise<void> => {
      await clock.sleep(limits.tagHeldCheckMs);
      if (await manifests.isHeld(repository, record.digest)) await this.#put(repository, tag, record);
    };
    // Nobody waits for it; the next question tries again.
    this.#moves.run(`${tagKey(repository, tag)}@${record.digest} once held`, move).result.catch(() => {});
  }

  /** A HEAD before anybody has to wait for it, and a GET only of a digest that is new. Clients who ask meanwhile join it. */
  async #refresh(repository: Repository, tag: Tag): Promise<void> {
    const { manifests } = this.#options;
    const key = tagKey(repository, tag);
    const old = await this.#record(repository, tag);
    // Where HEAD tells nothing each check is counted: not without somebody who asks.
    if (!old || this.#headRefused.get(repository.upstream)) return;
    const { result } = this.#checks.run(key, () => this.#check(repository, tag, old, "background"));
    const { record, manifest } = await result.catch(async (error: unknown) => {
      if (hasCode(error, "missing")) await this.#forgetMissing(repository, tag, error);
      throw error;
    });
    if (manifest || record.digest === old.digest) return;
    await manifests.get(repository, record.digest);
    await this.#move(repository, tag, record);
  }

  /** One question to upstream: a HEAD where it helps, the counted GET where HEAD tells nothing. */
  async #check(repository: Repository, tag: Tag, old: TagRecord | undefined, by = "client"): Promise<Seen> {
    const { clock, records, source } = this.#options;
    const checkedAt = clock.now();
    const refused = this.#headRefused.get(repository.upstream);
    const head = refused
      ? undefined
      : await withDeadline(clock, checkMs(old !== undefined), (signal) => source.head(repository, tag, signal)).catch(
          unsupported,
        );
    if (!head?.digest) {
      // One such answer of a registry that names digests is an accident, and must not make every check a counted GET.
      if (!this.#headTold.get(repository.upstream)) this.#headRefused.set(repository.upstream, true);
      return old && by === "background" ? { record: old } : this.#getByTag(repository, tag);
    }
    this.#headTold.set(repository.upstream, true);
    if (old?.digest === head.digest) {
      const record = { ...old, checkedAt };
      await records.put(recordKey(repository, tag), record);
      return { record };
    }
    const record = tagRecord(head.digest, { ...head, access: head.lane.access }, checkedAt);
    this.#seen.set(tagKey(repository, tag), record);
    return { record };
  }

  async #getByTag(repository: Repository, tag: Tag): Promise<Seen> {
    const checkedAt = this.#options.clock.now();
    const manifest = await this.#options.manifests.getByTag(repository, tag);
    const record = tagRecord(manifest.digest, { ...manifest, size: manifest.bytes.length }, checkedAt);
    await this.#move(repository, tag, record);
    return { record, manifest };
  }

  /** Once for everybody who waited for the same answer; an older answer never replaces a newer. */
  async #move(repository: Repository, tag: Tag, record: TagRecord): Promise<void> {
    const write = (): Promise<void> => this.#put(repository, tag, record);
    await this.#moves.run(`${tagKey(repository, tag)}@${record.digest}`, write).result;
  }

  async #put(repository: Repository, tag: Tag, record: TagRecord): Promise<void> {
    const current = await this.#record(repository, tag);
    if (current && current.checkedAt >= record.checkedAt) return;
    if (!this.#unpurged(repository, tag, record)) return;
    await this.#options.records.put(recordKey(repository, tag), record);
    if (current?.digest !== record.digest) this.#options.onMove(repository, tag, record.digest);
  }

  async #forgetMissing(repository: Repository, tag: Tag, error: PullringError): Promise<void> {
    if (error.reason === "refused") return;
    this.#options.missing.set(tagKey(repository, tag), error);
    await this.forget(repository, tag);
  }

  async #record(repository: Repository, tag: Tag): Promise<TagRecord | undefined> {
    const record = (await this.#options.records.get(recordKey(repository, tag))) as TagRecord | undefined;
    return this.#unpurged(repository, tag, record);
  }

  #unpurged(repository: Repository, tag: Tag, record: TagRecord | undefined): TagRecord | undefined {
    const { tombstones } = this.#options;
    const keys = [tagKey(repository, tag), repositoryKey(repository)];
    return record && keys.some((key) => tombstones.isPurged(key, record.checkedAt)) ? undefined : record;
  }

  #staleOr(old: TagRecord | undefined, error: unknown, of: { repository: Repository; tag: Tag }): Stale {
    return staleOr(old, error, this.#aging(of));
  }

  #aging({ repository, tag }: { repository: Repository; tag: Tag }): FreshnessOptions {
    const { clock, policy, staleIfErrorMs } = this.#options;
    return { clock, staleIfErrorMs, freshMs: policy.freshMs(repository, tag) };
  }

  #counted<T extends { readonly stale?: Stale }>(answer: T): T {
    if (answer.stale) this.#options.observe({ kind: "stale", reason: answer.stale.reason });
    return answer;
  }
}

export const tagKey = (repository: Repository, tag: Tag): string => `${repositoryKey(repository)}:${tag}`;
const recordKey = (repository: Repository, tag: Tag) => ({ repository, kind: "tag" as const, name: tag });

const newest = (a: TagRecord | undefined, b: TagRecord | undefined): TagRecord | undefined =>
  a && b ? (a.checkedAt >= b.checkedAt ? a : b) : (a ?? b);

function tagRecord(
  digest: Digest,
  facts: { mediaType?: string; size?: number; access: Access },
  checkedAt: number,
): TagRecord {
  const { mediaType, size, access } = facts;
  return {
    digest,
    access,
    checkedAt,
    ...(mediaType === undefined ? {} : { mediaType }),
    ...(size === undefined ? {} : { size }),
  };
}

function unsupported(error: unknown): undefined {
  if (!hasCode(error, "unsupported")) throw error;
}

function unreachable(error: unknown): undefined {
  if (!hasCode(error, "unreachable")) throw error;
}
