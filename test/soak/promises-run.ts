import { comeAndGo } from "./promises-come-and-go.ts";
import { oneFetch } from "./promises-one-fetch.ts";
import { rollingRestarts } from "./promises-rolling-restart.ts";
import { type Findings, findingsText } from "./promises-table.ts";
import { takeover } from "./promises-takeover.ts";

const forms: Readonly<Record<string, () => Promise<Findings>>> = {
  "one-fetch": oneFetch,
  takeover,
  "come-and-go": comeAndGo,
  "rolling-restart": rollingRestarts,
};

/** Runs the promises of a cluster at their full size, all of them or those that are named; prints a table each. */
export async function runPromises(names: readonly string[]): Promise<string[]> {
  const chosen = names.length === 0 ? Object.keys(forms) : names;
  const problems: string[] = [];
  for (const name of chosen) {
    const form = forms[name];
    if (!form) throw new Error(`no form ${name}: there are ${Object.keys(forms).join(", ")}`);
    const findings = await form();
    console.log(findingsText(findings));
    problems.push(...findings.problems);
  }
  return problems;
}
