import type { LedgerEntry, RequestKind } from "./ledger.ts";

/** What goes wrong. The fields combine, as far as that makes sense. */
export interface Fault {
  /** Answers this instead of the truth. */
  readonly status?: number;
  readonly body?: string;
  /** Sets headers, or removes them (null): wrong or missing digest, wrong type, Retry-After. */
  readonly headers?: Readonly<Record<string, string | null>>;
  /** Redirects to the first address, the next request to the second, …; the last one stays. */
  readonly redirectTo?: string | readonly string[];
  readonly redirectStatus?: number;
  /** Redirects to the address that was asked. */
  readonly redirectLoop?: boolean;
  /** Ends the connection after so many bytes of body. By RST the last of them may be lost on the way. */
  readonly cutAfterBytes?: number;
  readonly cutBy?: "fin" | "rst";
  /** How the body is framed: by Content-Length, by chunks, or by the end of the connection. */
  readonly framing?: "length" | "chunked" | "close";
  /** Sends so many bytes of body and then nothing more, until the client leaves. */
  readonly stallAfterBytes?: number;
  readonly dripBytesPerSec?: number;
  /** Changes the byte at this offset of the whole content. */
  readonly corruptAt?: number;
  /** Declares so many bytes more (or fewer) than there are. */
  readonly contentLengthDelta?: number;
  /** Sends the body with Content-Encoding: gzip, whatever was asked. */
  readonly gzip?: boolean;
  /** Answers a range with 200 and everything. */
  readonly ignoreRange?: boolean;
  readonly contentRange?: string;
  /** Ends the connection without an answer. */
  readonly close?: "fin" | "rst";
  /** Never answers. */
  readonly hang?: boolean;
}

export interface FaultMatch {
  readonly kind?: RequestKind | readonly RequestKind[];
  readonly repository?: string;
  readonly reference?: string;
  readonly origin?: LedgerEntry["origin"];
  readonly account?: string;
  /** How many requests it meets; default 1. */
  readonly times?: number | "always";
  /** Lets so many matching requests through first. */
  readonly skip?: number;
  /** Meets requests that would be answered 401 too; otherwise only those that get past authorization. */
  readonly beforeAuth?: boolean;
}

export interface FaultRule {
  /** Requests that it has met so far. */
  readonly hits: number;
  remove(): void;
}

interface Rule {
  readonly match: FaultMatch;
  readonly fault: Fault;
  seen: number;
  hits: number;
}

export type Faults = ReturnType<typeof makeFaults>;

const kindsOf = ({ kind }: FaultMatch): readonly RequestKind[] | undefined =>
  typeof kind === "string" ? [kind] : kind;

function applies({ match, hits }: Rule, entry: LedgerEntry): boolean {
  const { times = 1 } = match;
  if (times !== "always" && hits >= times) return false;
  if (kindsOf(match)?.includes(entry.kind) === false) return false;
  const fields = ["repository", "reference", "origin", "account"] as const;
  return fields.every((field) => match[field] === undefined || match[field] === entry[field]);
}

/** The script of what goes wrong; the first rule that applies to a request is its fault. */
export function makeFaults() {
  const rules: Rule[] = [];

  return {
    add(match: FaultMatch, fault: Fault): FaultRule {
      const rule: Rule = { match, fault, seen: 0, hits: 0 };
      rules.push(rule);
      return {
        get hits() {
          return rule.hits;
        },
        remove() {
          const index = rules.indexOf(rule);
          if (index >= 0) rules.splice(index, 1);
        },
      };
    },
    clear(): void {
      rules.length = 0;
    },
    /** For the hub: the fault of this request, now used once. */
    take(entry: LedgerEntry, beforeAuth: boolean): { fault: Fault; hit: number } | undefined {
      for (const rule of rules) {
        if ((rule.match.beforeAuth ?? false) !== beforeAuth || !applies(rule, entry)) continue;
        if (rule.seen++ < (rule.match.skip ?? 0)) continue;
        return { fault: rule.fault, hit: rule.hits++ };
      }
      return undefined;
    },
  };
}
