/** What the admin API answers, as far as it is shown. */
export interface RingAnswer {
  readonly epoch: string;
  readonly algorithm: string;
  readonly points: number;
  readonly self: string;
  readonly nodes: readonly {
    readonly id: string;
    readonly ringName: string;
    readonly url: string;
    readonly weight: number;
    readonly state: string;
    readonly share: number;
    readonly lastSeenMs: number;
    readonly benched: boolean;
  }[];
}

export interface OwnerAnswer {
  readonly key: string;
  readonly hash: number;
  readonly owner: string;
  readonly next: readonly string[];
}

export interface PreviewAnswer {
  readonly moved: number;
  readonly nodes: readonly { readonly id: string; readonly before: number; readonly after: number }[];
}

export interface FillsAnswer {
  readonly fills: readonly {
    readonly node: string;
    readonly digest: string;
    readonly repository: string;
    readonly bytes: number;
    readonly total: number | null;
    readonly source: string;
    readonly lane: string | null;
    readonly readers: number;
    readonly rate: number;
  }[];
  readonly missing: readonly string[];
}

export interface QuotaAnswer {
  readonly lanes: readonly QuotaLane[];
  readonly missing: readonly string[];
  /** When this was told, by the node's clock. */
  readonly at: string;
}

export interface QuotaLane {
  readonly node: string;
  readonly upstream: string;
  readonly account: string | null;
  readonly egress: string;
  readonly source: string | null;
  readonly limit: number | null;
  readonly remaining: number | null;
  readonly windowSec: number | null;
  readonly observedAt: string | null;
  readonly coolDownUntil: string | null;
  readonly resetAt: string | null;
  readonly spent: number | null;
  readonly budget: string | null;
  readonly benched: string | null;
  readonly unmetered: boolean;
  readonly forecast: { readonly perHour: number; readonly emptyAt: string | null } | null;
}

export interface PurgeAnswer {
  readonly purged: string;
  readonly nodes: readonly { readonly node: string }[];
  readonly s3: string;
  readonly missing: readonly string[];
}

export interface DrainAnswer {
  readonly node: string;
  readonly draining: boolean;
  readonly told: boolean;
}
