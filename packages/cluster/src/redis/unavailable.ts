import { ReplyError } from "ioredis";

/** Redis did not do what it was asked for. Whoever asked goes on without it. */
export class RedisUnavailable extends Error {
  override readonly name = "RedisUnavailable";
  /** It may yet have done it: it was asked, and did not answer. */
  readonly mayHaveRun: boolean;

  constructor(reason: string, options: { readonly mayHaveRun?: boolean; readonly cause?: unknown } = {}) {
    super(reason, { cause: options.cause });
    this.mayHaveRun = options.mayHaveRun ?? false;
  }
}

/** An answer that refuses. */
export interface Refusal {
  /** First word of the error, which names its kind. */
  readonly code: string;
  readonly reason: string;
  /** `evaluate`: send the script itself, once. */
  readonly retry: "evaluate" | "never";
  /** This connection stays of no use: another may reach another server, know another password, or find Redis ready. */
  readonly isConnectionUseless: boolean;
}

interface Kind {
  readonly reason: string;
  readonly isConnectionUseless?: true;
}

const isConnectionUseless = true;

const kinds: Readonly<Record<string, Kind>> = {
  READONLY: { reason: "a replica that takes no writes", isConnectionUseless },
  MASTERDOWN: { reason: "a replica that has lost its primary", isConnectionUseless },
  LOADING: { reason: "still loading its data", isConnectionUseless },
  NOAUTH: { reason: "wants a login", isConnectionUseless },
  WRONGPASS: { reason: "does not take this user name or password", isConnectionUseless },
  NOPERM: { reason: "does not permit this user what is asked of it" },
  OOM: { reason: "its memory is full" },
  MISCONF: { reason: "takes no writes because it can't save them to its disk" },
  NOREPLICAS: { reason: "takes no writes because it has too few replicas" },
  BUSY: { reason: "busy with another script" },
  CLUSTERDOWN: { reason: "its cluster is down" },
  TRYAGAIN: { reason: "its cluster is moving these keys" },
  MOVED: { reason: "one node of a Redis Cluster: set cluster to true" },
  ASK: { reason: "one node of a Redis Cluster: set cluster to true" },
  CROSSSLOT: { reason: "one node of a Redis Cluster: set cluster to true" },
};

/** Before Redis 7 what a command in a script was answered stands after the script's own words. */
const inScript = /(?:^| -)([A-Z]{3,})(?= )/g;

/** Undefined for an error that is no answer of Redis. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof ReplyError)) return undefined;
  const { message } = error as Error;
  const words = [...message.matchAll(inScript)].map((match) => match[1] ?? "");
  const code = words.find((word) => word in kinds || word === "NOSCRIPT") ?? words[0] ?? "ERR";
  const kind = kinds[code];
  return {
    code,
    reason: kind ? `${code}: ${kind.reason}` : message.slice(0, 200),
    retry: code === "NOSCRIPT" ? "evaluate" : "never",
    isConnectionUseless: kind?.isConnectionUseless ?? false,
  };
}
