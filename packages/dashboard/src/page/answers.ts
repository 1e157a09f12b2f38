/** What the admin API answers, as far as the page shows it. */
export interface RingNode {
  readonly id: string;
  readonly ringName: string;
  readonly url: string;
  readonly weight: number;
  readonly state: "joining" | "active" | "leaving";
  readonly share: number;
  readonly lastSeenMs: number;
  readonly benched: boolean;
}

export interface Ring {
  readonly epoch: string;
  readonly algorithm: string;
  readonly points: number;
  readonly self: string;
  readonly nodes: readonly RingNode[];
}

export interface Owner {
  readonly key: string;
  readonly hash: number;
  readonly owner: string;
  readonly next: readonly string[];
}

export interface Preview {
  /** Of all keys, 0 to 1. */
  readonly moved: number;
  readonly nodes: readonly { readonly id: string; readonly before: number; readonly after: number }[];
}

export interface Fill {
  readonly node: string;
  readonly digest: string;
  readonly repository: string;
  readonly bytes: number;
  readonly total: number | null;
  readonly source: string;
  readonly lane: string | null;
  readonly readers: number;
  /** Bytes per second. */
  readonly rate: number;
}

export interface Lane {
  readonly upstream: string;
  readonly account: string | null;
  readonly egress: string;
  readonly node: string;
  readonly source: string | null;
  readonly limit: number | null;
  readonly remaining: number | null;
  readonly windowSec: number | null;
  readonly coolDownUntil: string | number | null;
  readonly spent: number | null;
  /** null = the upstream counts nothing. */
  readonly budget: string | null;
  readonly benched?: string | null;
  readonly unmetered?: boolean;
  readonly forecast?: { readonly emptyAt: string | number | null; readonly perHour: number } | null;
}

/** One tier, as one node sees it. */
export interface Tier {
  readonly node: string;
  readonly tier: string;
  /** null = nothing rests there. */
  readonly bytes: number | null;
  readonly objects: number | null;
  readonly hits: number;
  readonly evictions: number | null;
}

export interface Image {
  readonly node: string;
  /** upstream/repository */
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
  readonly checkedAt: string;
  /** null = the node does not have its manifest. */
  readonly bytes: number | null;
}

export interface Purged {
  readonly purged: string;
  readonly nodes: readonly { readonly node: string }[];
  readonly s3: string;
  readonly missing: readonly string[];
}
