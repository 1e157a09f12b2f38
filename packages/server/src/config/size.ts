import type { Kind } from "./scalar.ts";

const units: ReadonlyMap<string, number> = new Map([
  ["TiB", 1024 ** 4],
  ["GiB", 1024 ** 3],
  ["MiB", 1024 ** 2],
  ["KiB", 1024],
  ["TB", 1000 ** 4],
  ["GB", 1000 ** 3],
  ["MB", 1000 ** 2],
  ["kB", 1000],
  ["KB", 1000],
  ["B", 1],
  ["", 1],
]);

/** Bytes of `256MiB`, `1.5GiB`, `100MB` or a bare number; a part of a byte is dropped. undefined = none of these. */
export function parseSize(found: unknown): number | undefined {
  if (typeof found !== "string" && typeof found !== "number") return undefined;
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(String(found)) ?? [];
  const scale = units.get(unit);
  if (amount === undefined || scale === undefined) return undefined;
  const bytes = Math.floor(Number(amount) * scale);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The shortest text that `parseSize` reads back to the same number. */
export function formatSize(bytes: number): string {
  for (const [unit, scale] of units) {
    if (bytes >= scale && bytes % scale === 0 && scale > 1) return `${bytes / scale}${unit}`;
  }
  return String(bytes);
}

export function sizeKind(bytesMin = 0): Kind<number> {
  const least = bytesMin > 0 ? `, at least ${formatSize(bytesMin)}` : "";
  return {
    type: "size",
    allowed: `a size such as 256MiB, 1.5GiB or 100MB, or a number of bytes${least}`,
    parse(found) {
      const bytes = parseSize(found);
      return bytes !== undefined && bytes >= bytesMin ? bytes : undefined;
    },
  };
}
