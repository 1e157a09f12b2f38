import type * as z from "zod";

import { nearest } from "./nearest.ts";
import { isMap, valueAt, type Path } from "./path.ts";
import { kindOf, shown, type Finding } from "./problem.ts";
import { rules } from "./rules.ts";
import { keyAt } from "./schema-tree.ts";
import { schema, type Settings } from "./schema.ts";

type Checked =
  | { readonly settings: Settings; readonly findings: readonly [] }
  | { readonly findings: readonly Finding[] };

/** Everything that is wrong with the values of a tree, each by itself and all together. */
export function check(tree: unknown): Checked {
  const parsed = schema.safeParse(tree);
  if (parsed.success) {
    const findings = combinations(parsed.data, new Set());
    return findings.length === 0 ? { settings: parsed.data, findings: [] } : { findings };
  }
  const findings = parsed.error.issues.flatMap((issue) => findingsOf(issue, tree));
  // What stands under sound top-level keys is still checked together; the other keys count as not given.
  const failed = new Set(findings.map(({ path }) => path[0]));
  const sound = Object.entries(isMap(tree) ? tree : {}).filter(([name]) => !failed.has(name));
  const { data } = schema.safeParse(Object.fromEntries(sound));
  return { findings: [...findings, ...(data ? combinations(data, failed) : [])] };
}

function combinations(settings: Settings, failed: ReadonlySet<unknown>): Finding[] {
  const findings: Finding[] = [];
  for (const rule of rules) {
    if (rule.reads.some((name) => failed.has(name))) continue;
    rule.check(settings, (path, found, allowed) => findings.push({ path, found, allowed }));
  }
  return findings;
}

const containers: Readonly<Record<string, string>> = { object: "a map", record: "a map", array: "a list" };

function findingsOf(issue: z.core.$ZodIssue, tree: unknown): Finding[] {
  const path = issue.path.map((step) => (typeof step === "number" ? step : String(step)));
  if (issue.code === "unrecognized_keys") return issue.keys.map((name) => unknownKey([...path, name]));
  if (issue.code === "invalid_key") {
    return [{ path, found: shown([], path.at(-1)), allowed: issue.issues[0]?.message ?? issue.message }];
  }
  const value = valueAt(tree, path);
  if (issue.code !== "invalid_type") return [{ path, found: shown(path, value), allowed: issue.message }];
  // Text where an account should be is perhaps `user:password`.
  return [{ path, found: kindOf(value), allowed: containers[issue.expected] ?? issue.expected }];
}

function unknownKey(path: Path): Finding {
  const shape = keyAt(schema, path.slice(0, -1))?.shape;
  const names = shape?.is === "section" ? Object.keys(shape.keys) : [];
  const likely = nearest(String(path.at(-1)), names);
  const hint = likely === undefined ? "" : `; did you mean ${likely}?`;
  return { path, found: "an unknown key", allowed: `${names.join(", ")}${hint}` };
}
