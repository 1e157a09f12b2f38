import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

import type { LedgerLine } from "@pullring/server";

import { CommandError, exitCodes } from "../exit-codes.ts";
import type { Entry, Run } from "./rule.ts";

const version = 1;

/** What each kind of line must have; an unknown kind is a newer format's, of which nothing can be said. */
const required: Readonly<
  Record<LedgerLine["kind"], Readonly<Record<string, "string" | "number" | "boolean" | "object">>>
> = {
  start: { version: "number", node: "string", upstreams: "object" },
  response: { method: "string", route: "string", status: "number", sent: "number", end: "string" },
  ask: {
    n: "number",
    errand: "number",
    hop: "number",
    request: "string",
    upstream: "string",
    lane: "string",
    origin: "string",
    credentials: "boolean",
  },
  answer: { n: "number", bytes: "number", broken: "boolean", tells: "object" },
  link: { upstream: "string", repository: "string", digest: "string", access: "string" },
  fill: { digest: "string", state: "string", kept: "boolean" },
  mismatch: { digest: "string", from: "string" },
  gone: { digest: "string", why: "string" },
  beat: {},
  lost: { lines: "number" },
  stop: {},
};

/** The files of the directories, in one order. Throws CommandError where there are none. */
export async function ledgerFiles(dirs: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const dir of dirs) {
    const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
      throw unusable(`${dir} can't be read (${error.code ?? "unknown"})`);
    });
    const files = names.filter((name) => name.endsWith(".ndjson")).sort();
    if (files.length === 0) throw unusable(`${dir} holds no ledger: no file ends in .ndjson`);
    found.push(...files.map((name) => join(dir, name)));
  }
  return found;
}

/** Line by line. The last line of a file may be torn: its node was killed. Throws CommandError for what is no ledger. */
export async function* readLedger(file: string): AsyncGenerator<Entry> {
  const lines = createInterface({ input: createReadStream(file), crlfDelay: Infinity });
  let run: Run | undefined;
  let torn: string | undefined;
  let number = 0;
  try {
    for await (const text of lines) {
      if (torn !== undefined) throw unusable(torn);
      number += 1;
      const line = lineOf(text);
      if (!line) {
        torn = `${file}:${number} is no line of a ledger`;
        continue;
      }
      if (!run) run = runOf(line, file);
      run.lastAt = Math.max(run.lastAt, line.at);
      if (line.kind === "stop") run.stopped = true;
      yield { line, text, where: { file, line: number }, run };
    }
  } finally {
    lines.close();
  }
}

function runOf(line: LedgerLine, file: string): Run {
  if (line.kind !== "start") throw unusable(`${file} does not begin as a ledger does`);
  if (line.version !== version) throw unusable(`${file} is of version ${line.version}; this command knows ${version}`);
  return { node: line.node, startedAt: line.at, lastAt: line.at, stopped: false };
}

function lineOf(text: string): LedgerLine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const fields = value as Record<string, unknown>;
  const wanted = required[fields["kind"] as LedgerLine["kind"]] as Record<string, string> | undefined;
  if (!wanted || typeof fields["at"] !== "number") return undefined;
  const isWhole = Object.entries(wanted).every(([name, type]) => typeof fields[name] === type && fields[name] !== null);
  return isWhole ? (value as LedgerLine) : undefined;
}

const unusable = (message: string): CommandError => new CommandError(exitCodes.usage, message);
