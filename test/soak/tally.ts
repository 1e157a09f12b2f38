import type { LedgerEntry } from "@pullring/testkit";

import type { KeptFile } from "../real/disk.ts";
import type { Deed, Outcome } from "./client.ts";
import type { Verdict } from "./soak.ts";

export type Tally = ReturnType<typeof makeTally>;

const outcomes: readonly Outcome[] = ["right", "wrong", "unverified", "left", "cut", "refused", "down"];
const mebibytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(0)} MiB`;

/** What happened, in numbers, and everything that must not have. */
export function makeTally() {
  const deeds = new Map<string, Map<Outcome, number>>();
  const upstream = new Map<string, number>();
  const problems: string[] = [];
  const rss: number[] = [];
  const restartsMs: number[] = [];
  let recoveryMs = 0;

  function table(): string {
    const rows = [...deeds].map(([what, counts]) => [
      what,
      ...outcomes.map((outcome) => String(counts.get(outcome) ?? 0)),
    ]);
    const lines = [["", ...outcomes], ...rows.sort(([a = ""], [b = ""]) => a.localeCompare(b))];
    return lines
      .map(([what = "", ...cells]) => what.padEnd(22) + cells.map((cell) => cell.padStart(11)).join(""))
      .join("\n");
  }

  return {
    kills: 0,
    problem(text: string): void {
      problems.push(text);
    },
    count({ what, outcome, detail }: Deed): void {
      const counts = deeds.get(what) ?? new Map<Outcome, number>();
      deeds.set(what, counts.set(outcome, (counts.get(outcome) ?? 0) + 1));
      if (outcome === "wrong") problems.push(`${what}: ${detail}`);
    },
    files(wrong: readonly KeptFile[]): void {
      problems.push(...wrong.map(({ name, digest }) => `file ${name} holds ${digest}`));
    },
    restarted(ms: number, leftovers: readonly string[]): void {
      restartsMs.push(ms);
      problems.push(...leftovers.map((name) => `spool ${name} outlived a start`));
    },
    recovered(ms: number): void {
      recoveryMs = ms;
    },
    rss(bytes: number): void {
      rss.push(bytes);
    },
    /** A CDN must never see a credential. */
    upstream(entries: readonly LedgerEntry[]): void {
      for (const { kind, origin, authorization, path } of entries) {
        upstream.set(kind, (upstream.get(kind) ?? 0) + 1);
        if (origin.startsWith("cdn") && authorization !== undefined) problems.push(`${authorization} at ${path}`);
      }
    },
    verdict(): Verdict {
      const rights = [...deeds.values()].reduce((sum, counts) => sum + (counts.get("right") ?? 0), 0);
      if (rights === 0) problems.push("nothing was served at all");
      const requests = [...upstream].map(([kind, count]) => `${kind} ${count}`).join(", ");
      const slowest = Math.max(0, ...restartsMs).toFixed(0);
      const text = [
        table(),
        "",
        `killed ${this.kills} times, slowest start ${slowest} ms; all served again ${(recoveryMs / 1000).toFixed(1)} s after the last fault`,
        `resident: ${mebibytes(rss[0] ?? 0)} at first, ${mebibytes(rss.at(-1) ?? 0)} at last, ${mebibytes(Math.max(0, ...rss))} at most`,
        `upstream: ${requests}`,
        "",
      ].join("\n");
      return { problems, text };
    },
  };
}
