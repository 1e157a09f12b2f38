import type { IncomingMessage } from "node:http";
import { type Bytes, textBytes } from "./bytes.ts";
import type { Fault } from "./faults.ts";
import type { LedgerEntry } from "./ledger.ts";

/** One request on its way through an origin. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly entry: LedgerEntry;
  readonly fault: Fault;
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Bytes;
  /** Without it a body is framed by Content-Length. */
  readonly framing?: Fault["framing"];
  /** Goes out as it is, head and all. */
  readonly raw?: string;
}

export function jsonReply(status: number, value: unknown, headers: Reply["headers"] = {}): Reply {
  const body = textBytes(JSON.stringify(value));
  return { status, headers: { "content-type": "application/json", ...headers }, body };
}

export interface OciError {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly detail?: unknown;
  readonly headers?: Reply["headers"];
}

export const errorReply = ({ status, code, message, detail, headers }: OciError): Reply =>
  jsonReply(status, { errors: [{ code, message, ...(detail === undefined ? {} : { detail }) }] }, headers);
