import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

import type { LedgerLine } from "@pullring/server";

import { checkLedgers, type LedgerReport } from "./check-ledgers.ts";

type OfKind<K extends LedgerLine["kind"]> = Extract<LedgerLine, { kind: K }>;
/** A line as a test means it: what it does not say is as it usually is. */
export type Sketch = { [K in LedgerLine["kind"]]: { readonly kind: K } & Partial<OfKind<K>> }[LedgerLine["kind"]];

export const digest = `sha256:${createHash("sha256").update("a blob").digest("hex")}`;
export const other = `sha256:${createHash("sha256").update("another").digest("hex")}`;
const hub = "https://registry-1.docker.io";

const place = { upstream: "docker.io", repository: "library/app" };
const usual: { readonly [K in LedgerLine["kind"]]: Omit<OfKind<K>, "at" | "kind"> } = {
  start: {
    version: 1,
    node: "n1",
    upstreams: [{ name: "docker.io", origin: hub, tokenOrigins: ["https://auth.docker.io"] }],
  },
  response: {
    ...place,
    id: "r",
    method: "GET",
    route: "blob",
    reference: digest,
    digest,
    status: 200,
    tier: "disk",
    outcome: "ok",
    access: "public",
    first: 0,
    size: 6,
    promised: 6,
    sent: 6,
    end: "clean",
    last: true,
    hash: digest,
  },
  ask: {
    ...place,
    n: 1,
    errand: 1,
    hop: 0,
    request: "blob_get",
    lane: "anonymous",
    method: "GET",
    origin: hub,
    reference: digest,
    credentials: false,
  },
  answer: { n: 1, status: 200, bytes: 6, length: 6, tells: ["digest", "type", "size"], broken: false },
  link: { ...place, digest, access: "linked" },
  fill: { digest, state: "done", bytes: 6, kept: true },
  mismatch: { digest, from: "upstream:docker.io" },
  gone: { digest, why: "evicted" },
  beat: {},
  lost: { lines: 1 },
  stop: {},
};

/** One node's start, as its lines; a second passes from one to the next unless they say when they were written. */
export interface SketchedRun {
  readonly node?: string;
  readonly startsAt?: number;
  /** Default true: it ended by itself. */
  readonly stops?: boolean;
  readonly lines: readonly Sketch[];
}

function textOf({ node = "n1", startsAt = 0, stops = true, lines }: SketchedRun): string {
  const all: Sketch[] = [{ kind: "start", node }, ...lines, ...(stops ? [{ kind: "stop" } as const] : [])];
  let at = startsAt - 1_000;
  return all
    .map((line) => {
      at = line.at ?? at + 1_000;
      return `${JSON.stringify({ ...usual[line.kind], ...line, at })}\n`;
    })
    .join("");
}

/** The directory of a ledger of these runs; a text is a file as it is. */
export function ledgerOf(t: TestContext, runs: readonly (SketchedRun | string)[]): string {
  const dir = mkdtempSync(join(tmpdir(), "pullring-ledger-check-"));
  t.after(() => rmSync(dir, { recursive: true }));
  mkdirSync(dir, { recursive: true });
  for (const [index, run] of runs.entries())
    writeFileSync(join(dir, `${index}.ndjson`), typeof run === "string" ? run : textOf(run));
  return dir;
}

export const check = (t: TestContext, ...runs: readonly SketchedRun[]): Promise<LedgerReport> =>
  checkLedgers([ledgerOf(t, runs)], { extraMax: 0 });

/** `promise@file:line` of each violation. */
export const placesOf = ({ violations }: LedgerReport): readonly string[] =>
  violations.map(
    ({ promise, file, line }) => `${promise}@${file.slice(file.lastIndexOf("/") + 1, -".ndjson".length)}:${line}`,
  );
