import { CoolDowns } from "./cool-downs.ts";
import { FreeHeads } from "./free-heads.ts";
import { limits } from "./limits.ts";
import { OneGet } from "./one-get.ts";
import { ledgerFiles, readLedger } from "./read-ledger.ts";
import { CleanEnds, RightBytes } from "./right-bytes.ts";
import { Rights } from "./rights.ts";
import type { Rule, Run } from "./rule.ts";
import { CredentialHosts, NoSecrets } from "./secrets.ts";

export interface CheckOptions {
  /** GETs too many that are known to be right: whoever runs this knows why. */
  readonly extraMax: number;
}

export interface LedgerReport {
  readonly nodes: readonly string[];
  readonly files: number;
  /** Starts that did not end by themselves. */
  readonly killed: number;
  readonly lines: number;
  /** Lines that nodes could not write: what they would have told is not known. */
  readonly lost: number;
  readonly rules: readonly RuleReport[];
  /** The first thousand of them. */
  readonly violations: readonly Violation[];
}

export interface RuleReport {
  readonly promise: number;
  readonly title: string;
  readonly checked: number;
  readonly excused: number;
  readonly violations: number;
}

export interface Violation {
  readonly promise: number;
  readonly file: string;
  readonly line: number;
  readonly what: string;
}

/** Reads all ledgers once and tells what does not hold. Memory grows with the number of digests, not with that of lines. */
export async function checkLedgers(dirs: readonly string[], { extraMax }: CheckOptions): Promise<LedgerReport> {
  const rules = makeRules();
  const runs = new Set<Run>();
  const files = await ledgerFiles(dirs);
  let [lines, lost] = [0, 0];
  for (const file of files) {
    for await (const entry of readLedger(file)) {
      runs.add(entry.run);
      lines += 1;
      if (entry.line.kind === "lost") lost += entry.line.lines;
      for (const rule of rules) rule.see(entry);
    }
  }
  linkStarts(runs);
  const all = [...runs];
  return {
    nodes: [...new Set(all.map(({ node }) => node))].sort(),
    files: files.length,
    killed: all.filter(({ stopped }) => !stopped).length,
    lines,
    lost,
    ...verdictOf(rules, extraMax),
  };
}

const makeRules = (): readonly Rule[] => [
  new OneGet("blob_get"),
  new OneGet("manifest_get"),
  new RightBytes(),
  new CleanEnds(),
  new CoolDowns(),
  new FreeHeads(),
  new Rights(),
  new CredentialHosts(),
  new NoSecrets(),
];

function linkStarts(runs: ReadonlySet<Run>): void {
  const last = new Map<string, Run>();
  for (const run of [...runs].sort((a, b) => a.startedAt - b.startedAt)) {
    const before = last.get(run.node);
    if (before) before.next = run;
    last.set(run.node, run);
  }
}

function verdictOf(rules: readonly Rule[], extraMax: number): Pick<LedgerReport, "rules" | "violations"> {
  const violations: Violation[] = [];
  let extraLeft = extraMax;
  const reports = rules.map((rule) => {
    const { promise, title } = rule;
    const { checked, excused = 0, findings } = rule.finish();
    const forgiven = promise === 1 ? Math.min(extraLeft, findings.length) : 0;
    extraLeft -= forgiven;
    const counted = findings.slice(forgiven);
    for (const { where, what } of counted.slice(0, Math.max(0, limits.violationsToldMax - violations.length)))
      violations.push({ promise, ...where, what });
    return { promise, title, checked, excused: excused + forgiven, violations: counted.length };
  });
  return { rules: reports, violations };
}
