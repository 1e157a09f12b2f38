/** A run of bytes, `end` exclusive; 0 ≤ start < end ≤ size. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Most ranges in one request that are answered one by one (podman's zstd:chunked sends up to 1,024). */
export const rangesMax = 1024;

export type RangeAnswer =
  /** No usable Range: the whole body, status 200. */
  | { readonly kind: "whole" }
  | { readonly kind: "spans"; readonly spans: readonly Span[] }
  | { readonly kind: "unsatisfiable" };

const whole: RangeAnswer = { kind: "whole" };

/**
 * Reads a Range header against a body of `size` bytes (RFC 9110 §14.2). Bad syntax is ignored; a reversed range
 * (`500-0`) is unsatisfiable, as the distribution-spec's conformance suite wants. Ranges that overlap, that together ask
 * for more than the body, or that are more than `rangesMax` get the whole body (RFC 9110 §17.15: a defence).
 */
export function parseRange(header: string | undefined, size: number): RangeAnswer {
  const match = /^bytes=(.*)$/i.exec(header?.trim() ?? "");
  if (!match) return whole;
  const parts = (match[1] ?? "").split(",", rangesMax + 1).map((part) => part.trim());
  if (parts.length > rangesMax) return whole;
  const spans: Span[] = [];
  for (const part of parts) {
    const span = parseSpan(part, size);
    if (span === "malformed") return whole;
    if (span) spans.push(span);
  }
  if (spans.length === 0) return { kind: "unsatisfiable" };
  return wasteful(spans, size) ? whole : { kind: "spans", spans };
}

/** undefined = outside the body. */
function parseSpan(part: string, size: number): Span | undefined | "malformed" {
  const match = /^(\d*)-(\d*)$/.exec(part);
  if (!match || part === "-") return "malformed";
  const [first = "", last = ""] = [match[1], match[2]];
  if (first === "") {
    const length = Math.min(Number(last), size);
    return length > 0 ? { start: size - length, end: size } : undefined;
  }
  const start = Number(first);
  const end = last === "" ? size : Math.min(Number(last) + 1, size);
  return start < end ? { start, end } : undefined;
}

function wasteful(spans: readonly Span[], size: number): boolean {
  if (spans.length === 1) return false;
  const sorted = spans.toSorted((a, b) => a.start - b.start);
  return sorted.some((span, i) => i > 0 && span.start < (sorted[i - 1]?.end ?? 0)) || total(spans) > size;
}

const total = (spans: readonly Span[]): number => spans.reduce((sum, { start, end }) => sum + end - start, 0);
