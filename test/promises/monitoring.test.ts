import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempDisposable, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { readDocument } from "../../packages/server/src/config/document.ts";
import type { Tree } from "../real/helm.ts";
import { needs } from "../real/needs.ts";
import { scrape } from "./metrics.ts";
import { startRig } from "./rig.ts";

const execute = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));
const text = (path: string): Promise<string> => readFile(join(root, path), "utf8");

interface Rule {
  readonly alert: string;
  readonly expr: string;
}

async function alerts(): Promise<readonly Rule[]> {
  const { groups } = readDocument(await text("deploy/prometheus/alerts.yml"), "alerts.yml").tree as Tree;
  return (groups as Tree[]).flatMap(({ rules }) => rules as Rule[]);
}

/** What the dashboard's panels ask, its variables filled in as Grafana does. */
async function questions(): Promise<readonly string[]> {
  const { panels } = JSON.parse(await text("deploy/grafana/pullring.json")) as Tree;
  const all = (panels as Tree[]).flatMap(({ targets = [] }) => targets.map(({ expr }: Tree) => expr as string));
  return all.map((expr) => expr.replaceAll("$__rate_interval", "5m").replaceAll(/\$(node|job)/g, ".*"));
}

/** The names that stand for metrics in PromQL: not functions, labels or what stands in quotes. */
const metricsIn = (expr: string): string[] =>
  [...expr.replaceAll(/"[^"]*"/g, "").matchAll(/\b(?:pullring|process|nodejs)_\w+/g)].map(([name]) => name);

const declared = (exposition: string): ReadonlySet<string> =>
  new Set(
    [...exposition.matchAll(/^# TYPE (\w+) (\w+)$/gm)].flatMap(([, name = "", type]) =>
      type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  );

test("alerts and dashboards name only metrics that there are, and docs/monitoring.md all of them", async () => {
  await using rig = await startRig();
  const { text: exposition } = await scrape(rig.pullring);
  const known = declared(exposition);
  const exprs = [...(await alerts()).map(({ expr }) => expr), ...(await questions())];
  assert.ok(exprs.length > 30);
  for (const expr of exprs) for (const name of metricsIn(expr)) assert.ok(known.has(name), `${name}, in ${expr}`);
  const documented = await text("docs/monitoring.md");
  const own = [...exposition.matchAll(/^# TYPE (pullring_\w+)/gm)].map(([, name = ""]) => name);
  for (const name of own) assert.ok(documented.includes(`\`${name}`), `docs/monitoring.md says nothing of ${name}`);
});

test("docs/monitoring.md says of every alert what to do", async () => {
  const documented = await text("docs/monitoring.md");
  for (const { alert } of await alerts()) assert.ok(documented.includes(`\n### ${alert}\n`), alert);
});

test("Prometheus takes the alerts, and what the dashboard asks", { skip: needs("promtool") }, async () => {
  await execute("promtool", ["check", "rules", join(root, "deploy/prometheus/alerts.yml")]);
  await using folder = await mkdtempDisposable(join(tmpdir(), "pullring-monitoring-"));
  const file = join(folder.path, "questions.yml");
  const rules = (await questions()).map((expr, index) => ({ record: `question:${index}`, expr }));
  await writeFile(file, JSON.stringify({ groups: [{ name: "dashboard", rules }] }));
  await execute("promtool", ["check", "rules", file]);
});
