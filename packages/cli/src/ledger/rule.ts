import type { LedgerLine } from "@pullring/server";

/** Line of a file, for who wants to look. */
export interface Where {
  readonly file: string;
  readonly line: number;
}

/** One start of one node: one file. */
export interface Run {
  readonly node: string;
  readonly startedAt: number;
  /** The last sign of life; of a run that was killed, about when. */
  lastAt: number;
  /** Whether it ended by itself. */
  stopped: boolean;
  /** The same node's next start; known when everything has been read. */
  next?: Run;
}

/** One line as it was read. */
export interface Entry<T extends LedgerLine = LedgerLine> {
  readonly line: T;
  readonly text: string;
  readonly where: Where;
  readonly run: Run;
}

export type OfKind<K extends LedgerLine["kind"]> = Extract<LedgerLine, { kind: K }>;

export interface Finding {
  readonly where: Where;
  readonly what: string;
}

/** One rule over a whole ledger. It sees the lines of one file in their order, file after file. */
export interface Rule {
  /** The promise that it proves, and which part of it. */
  readonly promise: number;
  readonly title: string;
  see(entry: Entry): void;
  /** Called once, after the last line. */
  finish(): Verdict;
}

export interface Verdict {
  /** How many cases there were to look at: a rule that saw none has proved nothing. */
  readonly checked: number;
  /** Cases that would be findings without what happened around them: a killed node, an eviction. */
  readonly excused?: number;
  readonly findings: readonly Finding[];
}

export const isKind = <K extends LedgerLine["kind"]>(entry: Entry, kind: K): entry is Entry<OfKind<K>> =>
  entry.line.kind === kind;

/** Whether the run was killed, as far as its file tells. */
export const wasKilled = (run: Run): boolean => !run.stopped;
