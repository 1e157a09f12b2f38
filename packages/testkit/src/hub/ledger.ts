import type { IncomingHttpHeaders } from "node:http";

export type HubOrigin = "token" | "registry" | "cdn0" | "cdn1";

export type RequestKind =
  | "ping"
  | "token"
  | "manifest_head"
  | "manifest_get"
  | "blob_head"
  | "blob_get"
  | "blob_range"
  | "cdn_get"
  | "cdn_head"
  | "cdn_range"
  | "tags"
  | "referrers"
  | "other";

/** One request. It is in the ledger from its arrival; what is not known yet then is filled in as it happens. */
export interface LedgerEntry {
  /** The hub's own time, ms since the epoch. */
  readonly at: number;
  readonly origin: HubOrigin;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly kind: RequestKind;
  readonly repository: string | undefined;
  readonly reference: string | undefined;
  readonly range: string | undefined;
  /** Scheme of the Authorization header, in lower case. */
  readonly authorization: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly remoteAddress: string;
  /** Who asked, once authenticated; undefined = anonymous. */
  account: string | undefined;
  /** 0 until the answer starts; stays 0 when it never does. */
  status: number;
  /** Bytes of the body. */
  bytesSent: number;
  /** Whether it was charged to a quota. */
  counted: boolean;
  /** Whether the hub is through with it, for better or worse. */
  done: boolean;
}

/** Fields that must be equal; a list means one of them. */
type LedgerQuery = {
  readonly [Key in keyof LedgerEntry]?: LedgerEntry[Key] | readonly LedgerEntry[Key][];
};

export type LedgerMatch = LedgerQuery | ((entry: LedgerEntry) => boolean);

export type Ledger = ReturnType<typeof makeLedger>;

function matches(entry: LedgerEntry, match: LedgerMatch): boolean {
  if (typeof match === "function") return match(entry);
  return Object.entries(match).every(([key, wanted]) => {
    const found: unknown = entry[key as keyof LedgerEntry];
    return Array.isArray(wanted) ? wanted.includes(found) : wanted === undefined || wanted === found;
  });
}

/** Every request to every origin of a hub, in order of arrival. */
export function makeLedger() {
  const entries: LedgerEntry[] = [];
  const watchers = new Set<(entry: LedgerEntry) => void>();

  return {
    entries: entries as readonly LedgerEntry[],
    /** For the hub: takes an entry in, or tells that one has changed. */
    record(entry: LedgerEntry, isNew = false): void {
      if (isNew) entries.push(entry);
      for (const watch of watchers) watch(entry);
    },
    filter: (match: LedgerMatch): LedgerEntry[] => entries.filter((entry) => matches(entry, match)),
    count: (match: LedgerMatch = {}): number => entries.filter((entry) => matches(entry, match)).length,
    clear(): void {
      entries.length = 0;
    },
    /** Settles with the first entry that matches, now or later. */
    until(match: LedgerMatch, signal?: AbortSignal): Promise<LedgerEntry> {
      const present = entries.find((entry) => matches(entry, match));
      if (present !== undefined) return Promise.resolve(present);
      const { promise, resolve, reject } = Promise.withResolvers<LedgerEntry>();
      const watch = (entry: LedgerEntry): void => {
        if (!matches(entry, match)) return;
        watchers.delete(watch);
        resolve(entry);
      };
      watchers.add(watch);
      const giveUp = (): void => {
        watchers.delete(watch);
        reject(signal?.reason as Error);
      };
      if (signal?.aborted === true) giveUp();
      signal?.addEventListener("abort", giveUp, { once: true });
      return promise;
    },
  };
}
