import { createHash } from "node:crypto";

import type { RecordKey } from "@pullring/core";

export interface SharedRecord {
  readonly key: RecordKey;
  readonly value: unknown;
}

/** A record as an object's bytes: `{key, value, sum}`. A blob's own digest vouches for it; a record needs a sum of its own. */
export function formatRecord(record: SharedRecord): string {
  const { key, value } = record;
  return JSON.stringify({ key, value, sum: sumOf({ key, value }) });
}

/** undefined for whatever is torn, changed or none. */
export function parseRecord(text: string): SharedRecord | undefined {
  try {
    const found = JSON.parse(text) as (Partial<SharedRecord> & { readonly sum?: unknown }) | null;
    if (!found?.key) return undefined;
    const { key, value, sum } = found;
    return sum === sumOf({ key, value }) ? { key, value } : undefined;
  } catch {
    return undefined;
  }
}

const sumOf = (record: SharedRecord): string => createHash("sha256").update(JSON.stringify(record)).digest("hex");
