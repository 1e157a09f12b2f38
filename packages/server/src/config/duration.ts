import type { Kind } from "./scalar.ts";

const units: ReadonlyMap<string, number> = new Map([
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
  ["ms", 1],
]);

/** Milliseconds of `250ms`, `60s`, `1.5h`, `30d`. A bare number is refused: its unit would be anybody's guess. */
export function parseDuration(found: unknown): number | undefined {
  if (typeof found !== "string") return undefined;
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?) ?(ms|[smhd])$/.exec(found) ?? [];
  const scale = units.get(unit);
  if (amount === undefined || scale === undefined) return undefined;
  const ms = Math.round(Number(amount) * scale);
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** The shortest text that `parseDuration` reads back to the same number. */
export function formatDuration(ms: number): string {
  if (ms === 0) return "0s";
  for (const [unit, scale] of units) {
    if (ms % scale === 0) return `${ms / scale}${unit}`;
  }
  return `${ms}ms`;
}

export const durationKind: Kind<number> = {
  type: "time",
  allowed: "a time with its unit, such as 250ms, 60s, 15m, 6h or 30d",
  parse: parseDuration,
};
