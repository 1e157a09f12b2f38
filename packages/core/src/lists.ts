import type { Digest } from "@pullring/oci";

import { hasCode, type PullringError } from "./errors.ts";
import { makeFlights } from "./flights.ts";
import { checkMs, isFresh, staleOr, withDeadline, type Aging, type Stale } from "./freshness.ts";
import type { Observe } from "./observe.ts";
import {
  repositoryKey,
  type Clock,
  type ListPage,
  type ListSource,
  type RecordStore,
  type Repository,
} from "./ports.ts";
import type { Recent } from "./recent.ts";

export interface List {
  readonly body: Readonly<Record<string, unknown>>;
  /** Query of the page after this one, as upstream wrote it. */
  readonly next?: string;
  readonly stale?: Stale;
  readonly joined: boolean;
  readonly asked: boolean;
}

/** Tag lists and referrers: kept as tags are, fresh for a while and stale when upstream can't be asked. */
export interface Lists {
  /** One page; `query` is what the client asked for (`n`, `last`, or a page token of upstream's). */
  tags(repository: Repository, query: string): Promise<List>;
  /** The whole index. Rejects with `unsupported` when upstream has no referrers API. */
  referrers(repository: Repository, digest: Digest): Promise<List>;
}

export interface ListPolicy {
  listFreshMs(repository: Repository): number;
}

export interface ListsOptions {
  readonly clock: Clock;
  readonly records: RecordStore;
  readonly source: ListSource;
  readonly policy: ListPolicy;
  readonly staleIfErrorMs: number;
  readonly missing: Recent<PullringError>;
  readonly observe: Observe;
}

interface ListRecord extends Aging {
  readonly body: Record<string, unknown>;
  readonly next?: string;
}

export function makeLists(options: ListsOptions): Lists {
  const { clock, records, source, policy, missing } = options;
  const flights = makeFlights<ListRecord>();

  type Ask = (signal: AbortSignal) => Promise<ListPage>;

  async function list(repository: Repository, name: string, ask: Ask): Promise<List> {
    const recordKey = { repository, kind: "list" as const, name };
    const key = `${repositoryKey(repository)} ${name}`;
    const old = (await records.get(recordKey)) as ListRecord | undefined;
    if (old && isFresh(old, policy.listFreshMs(repository), clock)) return answer(old, { joined: false, asked: false });
    const known = missing.get(key);
    if (known) throw known;
    const { result, joined } = flights.run(key, async () => {
      const checkedAt = clock.now();
      const { body, next, lane } = await withDeadline(clock, checkMs(old !== undefined), ask);
      const record = { body, checkedAt, access: lane.access, ...(next === undefined ? {} : { next }) };
      await records.put(recordKey, record);
      return record;
    });
    try {
      return answer(await result, { joined, asked: true });
    } catch (error) {
      if (hasCode(error, "missing", "unsupported") && error.reason !== "refused") missing.set(key, error);
      const stale = staleOr(old, error, {
        clock,
        staleIfErrorMs: options.staleIfErrorMs,
        freshMs: policy.listFreshMs(repository),
      });
      if (!old) throw error;
      options.observe({ kind: "stale", reason: stale.reason });
      return answer(old, { joined, asked: true, stale });
    }
  }

  const answer = ({ body, next }: ListRecord, how: Pick<List, "joined" | "asked" | "stale">): List => ({
    body,
    ...(next === undefined ? {} : { next }),
    ...how,
  });

  return {
    tags: (repository, query) => list(repository, `tags?${query}`, (signal) => source.tags(repository, query, signal)),
    referrers: (repository, digest) =>
      list(repository, `referrers/${digest}`, (signal) => source.referrers(repository, digest, signal)),
  };
}
