import { setTimeout as sleep } from "node:timers/promises";

import type { Check, Finding } from "@pullring/server";

/** A check keeps shorter limits of its own; this one is for what those miss, such as a resolver that never answers. */
const checkMsMax = 30_000;

export type Result = Finding & { readonly name: string };

/** Side by side, those first that must be; told in the order they were given. */
export async function runChecks(checks: readonly Check[]): Promise<readonly Result[]> {
  const findings = new Map<Check, Finding>();
  for (const turn of [true, false]) {
    const now = checks.filter(({ isFirst = false }) => isFirst === turn);
    await Promise.all(now.map(async (check) => findings.set(check, await outcomeOf(check))));
  }
  return checks.flatMap((check) => resultOf(check, findings.get(check)));
}

const resultOf = ({ name }: Check, finding: Finding | undefined): readonly Result[] =>
  finding === undefined ? [] : [{ name, ...finding }];

async function outcomeOf(check: Check): Promise<Finding> {
  const over = new AbortController();
  // Its timer also keeps the process up, which the checks' own do not.
  const late = sleep(checkMsMax, undefined, { signal: over.signal }).then(() => {
    throw new Error(`no outcome in ${checkMsMax / 1000} s`);
  });
  late.catch(() => {});
  try {
    return await Promise.race([check.run(), late]);
  } catch (error) {
    return { status: "fail", found: error instanceof Error ? error.message : String(error) };
  } finally {
    over.abort();
  }
}
