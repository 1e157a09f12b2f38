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

export interface CacheAnswer {
  readonly tiers: readonly {
    readonly node: string;
    readonly tier: string;
    readonly bytes: number | null;
    readonly bytesMax: number | null;
    readonly objects: number | null;
    readonly hits: number;
    readonly sent: number;
    readonly evictions: number | null;
  }[];
  readonly missing: readonly string[];
}

export interface ImagesAnswer {
  readonly images: readonly {
    readonly node: string;
    readonly repository: string;
    readonly tag: string;
    readonly digest: string;
    readonly checkedAt: string;
    readonly bytes: number | null;
    readonly here: number | null;
  }[];
  readonly next: string | null;
  readonly missing: readonly string[];
}

interface WarmCounts {
  readonly held: number;
  readonly fetched: number;
  readonly failed: number;
}

interface WarmPart {
  readonly image: string;
  readonly digest: string;
  readonly state: "held" | "fetched" | "failed";
  readonly error?: string;
}

/** One line of what warming answers. */
export type WarmStep =
  | ({ readonly step: "manifest"; readonly platform: string | null } & WarmPart)
  | ({ readonly step: "blob"; readonly bytes: number } & WarmPart)
  | {
      readonly step: "image";
      readonly image: string;
      readonly digest: string;
      readonly manifests: number;
      readonly blobs: number;
      readonly bytes: number;
    }
  | {
      readonly step: "progress";
      readonly blobs: number;
      readonly blobsAll: number;
      readonly bytes: number;
      readonly bytesAll: number;
    }
  | { readonly step: "failed"; readonly image: string; readonly error: string }
  | {
      readonly step: "summary";
      readonly images: number;
      readonly failed: number;
      readonly manifests: WarmCounts;
      readonly blobs: WarmCounts;
      readonly bytes: Omit<WarmCounts, "failed">;
      readonly ms: number;
    };
