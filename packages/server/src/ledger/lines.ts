import type { Access } from "@pullring/core";
import type { RequestKind } from "@pullring/upstream";

/** Of the file format, which docs/ledger.md describes: a field that goes or means something else makes another version. */
export const ledgerVersion = 1;

/** First of every file: who writes it, and which hosts may be told secrets. */
export interface StartLine {
  readonly kind: "start";
  readonly version: number;
  readonly node: string;
  readonly upstreams: readonly {
    readonly name: string;
    readonly origin: string;
    readonly tokenOrigins: readonly string[];
  }[];
}

/** One response to a client about a blob or a manifest. */
export interface ResponseLine {
  readonly kind: "response";
  readonly id: string;
  readonly method: string;
  readonly route: "blob" | "manifest";
  readonly upstream?: string;
  readonly repository?: string;
  readonly reference?: string;
  /** Of the whole content, where it was found. */
  readonly digest?: string;
  readonly status: number;
  readonly tier: string;
  readonly outcome: string;
  /** Whose bytes they are, where bytes were served. */
  readonly access?: Access;
  /** Offset of the first byte in the content; not of an answer in several parts. */
  readonly first?: number;
  /** Size of the whole content. */
  readonly size?: number;
  /** The Content-Length. */
  readonly promised?: number;
  readonly sent: number;
  /** `clean`: ended by this node; `cut`: broken off by it before the promised end; `left`: by the client. */
  readonly end: "clean" | "cut" | "left";
  /** Whether the content's last byte was among them. */
  readonly last: boolean;
  /** Of the bytes that were sent, by the algorithm of `digest`. */
  readonly hash?: string;
}

/** One exchange with an upstream begins. */
export interface AskLine {
  readonly kind: "ask";
  /** Counts the exchanges of this file. */
  readonly n: number;
  readonly errand: number;
  readonly hop: number;
  readonly request: RequestKind;
  readonly upstream: string;
  readonly lane: string;
  readonly method: string;
  readonly origin: string;
  readonly repository?: string;
  readonly reference?: string;
  readonly range?: string;
  /** Whether credentials went along. */
  readonly credentials: boolean;
  /** Method and id of the client's request that it was for, when it was begun for one of this node. */
  readonly causeMethod?: string;
  readonly causeId?: string;
}

/** The exchange with the same `n` is over. */
export interface AnswerLine {
  readonly kind: "answer";
  readonly n: number;
  readonly status?: number;
  readonly bytes: number;
  readonly length?: number;
  readonly retryAfter?: string;
  readonly tells: readonly string[];
  /** No head came, or not the whole body. */
  readonly broken: boolean;
}

/** A right to linked bytes was written down, or found written down. */
export interface LinkLine {
  readonly kind: "link";
  readonly upstream: string;
  readonly repository: string;
  readonly digest: string;
  readonly access: Access;
}

/** A fill is over. */
export interface FillLine {
  readonly kind: "fill";
  readonly digest: string;
  readonly state: "done" | "passed" | "failed" | "stopped";
  readonly bytes: number;
  /** Whether the bytes are at rest here. */
  readonly kept: boolean;
}

/** Bytes that were to have this digest did not. */
export interface MismatchLine {
  readonly kind: "mismatch";
  readonly digest: string;
  readonly from: string;
}

/** Bytes that were at rest here are not any more. */
export interface GoneLine {
  readonly kind: "gone";
  readonly digest: string;
  readonly why: "evicted" | "purged" | "corrupt";
}

/** `beat`: nothing else happened for a second; `lost`: lines could not be written; `stop`: the node ended by itself. */
export type MarkLine =
  | { readonly kind: "beat" }
  | { readonly kind: "lost"; readonly lines: number }
  | { readonly kind: "stop" };

export type Line =
  | StartLine
  | ResponseLine
  | AskLine
  | AnswerLine
  | LinkLine
  | FillLine
  | MismatchLine
  | GoneLine
  | MarkLine;

/** As it stands in the file. `at` is ms since the epoch, when the line was written. */
export type LedgerLine = Line & { readonly at: number };
