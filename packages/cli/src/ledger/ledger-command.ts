import type { CommandEnd, LocalCommand } from "../command.ts";
import { CommandError, exitCodes } from "../exit-codes.ts";
import { table } from "../table.ts";
import { checkLedgers, type LedgerReport } from "./check-ledgers.ts";

/** Proves from what nodes wrote down that their promises held. Asks nobody. */
export const ledger: LocalCommand = {
  usage: "ledger check DIR… [--allow-extra N]",
  summary: "Whether the promises held, by what nodes wrote down. 1: they did not; 2: what is there proves nothing.",
  options: { "allow-extra": { type: "string", default: "0" } },
  async run({ values, words }): Promise<CommandEnd> {
    const [verb, ...dirs] = words;
    if (verb !== "check")
      throw new CommandError(exitCodes.usage, "what is missing: `check`, and the directory of a ledger");
    if (dirs.length === 0) throw new CommandError(exitCodes.usage, "what is missing: the directory of a ledger");
    const report = await checkLedgers(dirs, { extraMax: countOf(values["allow-extra"]) });
    const isBroken = report.rules.some(({ violations }) => violations > 0);
    const text = textOf(report);
    if (isBroken) return { answer: report, text, code: exitCodes.failed };
    const gap = gapIn(report);
    return gap === undefined
      ? { answer: report, text, code: exitCodes.ok }
      : { answer: report, text, note: gap, code: exitCodes.usage };
  },
};

function countOf(value: unknown): number {
  if (typeof value === "string" && /^\d{1,9}$/.test(value)) return Number(value);
  throw new CommandError(exitCodes.usage, "--allow-extra takes a number");
}

/** Why nothing is proved although nothing was found. */
function gapIn({ lines, lost }: LedgerReport): string | undefined {
  if (lines === 0) return "there is not one line";
  return lost > 0 ? `${lost} lines could not be written down: what they would have told is not known` : undefined;
}

function textOf({ nodes, files, killed, lines, rules, violations }: LedgerReport): string {
  const head = `${lines} lines in ${files} files of ${nodes.length} nodes (${nodes.join(", ")}), ${killed} of them cut off\n\n`;
  const rows = rules.map((rule) => [rule.promise, rule.title, rule.checked, rule.excused, rule.violations]);
  const told = violations.map(({ promise, file, line, what }) => `${file}:${line}: promise ${promise}: ${what}\n`);
  const total = rules.reduce((sum, rule) => sum + rule.violations, 0);
  const verdict = total === 0 ? "\nno promise is broken\n" : `\n${told.join("")}\n${total} violations\n`;
  return head + table(["PROMISE", "RULE", "CHECKED", "EXCUSED", "VIOLATIONS"], rows) + verdict;
}
