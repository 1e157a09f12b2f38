import type { IncomingHttpHeaders } from "node:http";

import { isDigest, type Digest } from "@pullring/oci";

/** One value, or undefined; lines of the same name are joined as RFC 9110 §5.3 says. */
export function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(", ") : value;
}

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export const isRedirect = (status: number): boolean => redirects.has(status);

export const locationOf = (headers: IncomingHttpHeaders): string | undefined => headerOf(headers, "location");

/** undefined = not told, or not readable. */
export function contentLengthOf(headers: IncomingHttpHeaders): number | undefined {
  const text = headerOf(headers, "content-length") ?? "";
  const length = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(length) ? length : undefined;
}

export interface ContentRange {
  /** Missing in the answer to a range that could not be satisfied. */
  readonly start?: number;
  /** Exclusive. */
  readonly end?: number;
  /** Missing = unknown to upstream. */
  readonly total?: number;
}

/** RFC 9110 §14.4; undefined = missing, malformed or contradicting itself. */
export function contentRangeOf(headers: IncomingHttpHeaders): ContentRange | undefined {
  const match = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+|\*)$/i.exec(headerOf(headers, "content-range")?.trim() ?? "");
  if (!match) return undefined;
  const [, first, last, size] = match;
  const total = size === "*" ? {} : { total: Number(size) };
  if (first === undefined) return total;
  const [start, end] = [Number(first), Number(last) + 1];
  const sound = start < end && Number.isSafeInteger(end) && (total.total === undefined || end <= total.total);
  return sound ? { start, end, ...total } : undefined;
}

/** Whether the body comes as it is; `Accept-Encoding: identity` was asked for. */
export function isIdentity(headers: IncomingHttpHeaders): boolean {
  const coding = headerOf(headers, "content-encoding")?.trim().toLowerCase() ?? "";
  return coding === "" || coding === "identity";
}

/** A claim, not a fact: nothing has been hashed. */
export function digestClaimOf(headers: IncomingHttpHeaders): Digest | undefined {
  const text = headerOf(headers, "docker-content-digest")?.trim() ?? "";
  return isDigest(text) ? text : undefined;
}

export function mediaTypeOf(headers: IncomingHttpHeaders): string | undefined {
  const text = headerOf(headers, "content-type")?.trim() ?? "";
  return /^[\w.+-]{1,127}\/[\w.+-]{1,127}\s*(?:;|$)/.test(text) ? text : undefined;
}
