import { AsyncLocalStorage } from "node:async_hooks";

import type { CacheEvent, Clock, RecordKey, RecordStore } from "@pullring/core";
import type { OnWire } from "@pullring/upstream";

import type { Config } from "../config/index.ts";
import type { Exchange } from "../http/exchange.ts";
import { StartError } from "../start-error.ts";
import { openLedgerFile, type LedgerFile } from "./ledger-file.ts";
import { limits } from "./limits.ts";
import { ledgerVersion, type GoneLine, type ResponseLine, type StartLine } from "./lines.ts";
import { watchResponse } from "./watch-response.ts";

/** Keeps books of what went out to clients and to upstreams, so that it can be proved afterwards what was promised. */
export interface Ledger {
  /** Runs what answers the exchange, and notes what left by it. */
  serve(exchange: Exchange, run: () => Promise<void>): Promise<void>;
  readonly onWire: OnWire;
  observe(event: CacheEvent | Omit<GoneLine, "at">): void;
  /** The same records, links that are written or found noted. */
  records(records: RecordStore): RecordStore;
  close(): Promise<void>;
}

/** The request of a client that something is done for. */
interface Cause {
  readonly id: string;
  readonly method: string;
}

/** undefined where none is configured. */
export function openLedger(config: Config, clock: Clock): Ledger | undefined {
  if (!config.ledger) return undefined;
  const { path: dir } = config.ledger;
  try {
    return makeLedger(openLedgerFile({ dir, clock, start: startOf(config) }));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`ledger.path: ${reason}`, { cause: error });
  }
}

function startOf({ node, upstreams }: Config): StartLine {
  const hosts = Object.values(upstreams).map(({ name, url, tokenOrigins }) => ({
    name,
    origin: url.origin,
    tokenOrigins: tokenOrigins.map((origin) => new URL(origin).origin),
  }));
  return { kind: "start", version: ledgerVersion, node: node.id, upstreams: hosts };
}

function makeLedger(file: LedgerFile): Ledger {
  // Follows a request through whatever it begins, fills that outlive it included.
  const causes = new AsyncLocalStorage<Cause>();
  let exchanges = 0;

  return {
    async serve(exchange, run) {
      const sent = watchResponse(exchange);
      await causes.run({ id: exchange.id, method: exchange.request.method ?? "" }, run);
      const line = responseOf(exchange, sent());
      if (line) file.write(line);
    },
    onWire({ kind: request, ...ask }) {
      const n = (exchanges += 1);
      const cause = causes.getStore();
      file.write({
        kind: "ask",
        n,
        request,
        ...ask,
        ...(cause ? { causeMethod: cause.method, causeId: cause.id } : {}),
      });
      return ({ isBroken, retryAfter, ...end }) => {
        // The one thing here that is an upstream's free text.
        const told =
          retryAfter === undefined ? {} : { retryAfter: /^[\w ,:+-]{1,40}$/.test(retryAfter) ? retryAfter : "?" };
        file.write({ kind: "answer", n, ...end, ...told, broken: isBroken });
      };
    },
    observe(event) {
      if (event.kind === "gone") file.write(event);
      else if (event.kind === "mismatch") file.write({ kind: "mismatch", digest: event.digest, from: event.from });
      else if (event.kind === "fill_ended") {
        const { digest, state, bytes, kept } = event;
        file.write({ kind: "fill", digest, state, bytes, kept });
      }
    },
    records: (records) => watchLinks(records, file),
    close: () => file.close(),
  };
}

function responseOf(exchange: Exchange, sent: ReturnType<ReturnType<typeof watchResponse>>): ResponseLine | undefined {
  const { id, request, route, repository, reference, digest, response, tier, outcome, access } = exchange;
  if (route !== "blob" && route !== "manifest") return undefined;
  return {
    kind: "response",
    id,
    method: request.method ?? "",
    route,
    ...(repository ? { upstream: repository.upstream, repository: repository.name } : {}),
    ...(reference === undefined ? {} : { reference }),
    ...(digest === undefined ? {} : { digest }),
    status: response.statusCode,
    tier,
    outcome,
    ...(access === undefined ? {} : { access }),
    ...sent,
  };
}

/** Each link is told once, or again after many others. */
function watchLinks(records: RecordStore, file: LedgerFile): RecordStore {
  const told = new Set<string>();

  function tell({ kind, repository, name }: RecordKey, value: unknown): void {
    if (kind !== "link" || value === undefined) return;
    const { access } = value as { access: "public" | "linked" };
    const key = `${repository.upstream}/${repository.name}@${name} ${access}`;
    if (told.has(key)) return;
    if (told.size >= limits.linksRememberedMax) told.clear();
    told.add(key);
    file.write({ kind: "link", upstream: repository.upstream, repository: repository.name, digest: name, access });
  }

  return {
    async get(key) {
      const value = await records.get(key);
      tell(key, value);
      return value;
    },
    async put(key, value) {
      await records.put(key, value);
      tell(key, value);
    },
    remove: (key) => records.remove(key),
  };
}
