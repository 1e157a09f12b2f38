export interface ByteRange {
  readonly start: number;
  /** Inclusive. */
  readonly end: number;
}

/** The ranges of a Range header that a body of this size can satisfy; undefined = no range that means anything (RFC 9110 §14.1). */
export function rangesOf(header: string | undefined, size: number): readonly ByteRange[] | undefined {
  const list = header === undefined ? null : /^bytes=(.+)$/.exec(header);
  if (list?.[1] === undefined) return undefined;
  const ranges: ByteRange[] = [];
  for (const spec of list[1].split(",")) {
    const [, first = "", last = ""] = /^\s*(\d*)-(\d*)\s*$/.exec(spec) ?? [];
    if (first === "" && last === "") return undefined;
    if (first !== "" && last !== "" && Number(last) < Number(first)) return undefined;
    const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
    const end = first === "" || last === "" ? size - 1 : Math.min(Number(last), size - 1);
    if (start <= end) ranges.push({ start, end });
  }
  return ranges;
}
