import assert from "node:assert/strict";
import { test } from "node:test";

import { files, isTest } from "./sources.ts";

/** Budgets that the linter does not know. Files of 400 lines, functions of 70 and 4 parameters are its own. */
const portMethodsMax = 5;
/** OpenTelemetry's four, of one project and one release, are loaded only where traces are configured. */
const runtimeDependenciesMax = 17;
const rootScriptsMax = 12;
const architectureLinesMax = 200;

test("a port has at most five methods", () => {
  const wrong = files("packages/core/src/ports.ts").flatMap(({ text }) =>
    [...text.matchAll(/^export interface (\w+)[^{]*\{\n([\s\S]*?)^\}/gm)]
      .map(([, name, body = ""]) => `${name}: ${(body.match(/^ {2}\w+\(/gm) ?? []).length}`)
      .filter((entry) => Number(entry.split(": ")[1]) > portMethodsMax),
  );
  assert.deepEqual(wrong, []);
});

test("every runtime dependency has its reason in its package's README, and they are few", () => {
  const named = files("packages/*/package.json").flatMap(({ path, text }) => {
    const { dependencies } = JSON.parse(text) as { dependencies: Record<string, string> };
    const outside = Object.keys(dependencies).filter((name) => !name.startsWith("@pullring/"));
    return outside.map((name) => ({ name, readme: path.replace("package.json", "README.md") }));
  });
  const readmes = new Map(files("packages/*/README.md").map(({ path, text }) => [path, text]));
  const silent = named.filter(({ name, readme }) => !readmes.get(readme)?.includes(`\`${name}\``));
  assert.deepEqual(silent, []);
  assert.ok(new Set(named.map(({ name }) => name)).size <= runtimeDependenciesMax);
});

test("versions are pinned exactly", () => {
  const loose = files("package.json", "packages/*/package.json").flatMap(({ path, text }) => {
    const manifest = JSON.parse(text) as Record<string, Record<string, string> | undefined>;
    const all = Object.entries({ ...manifest["dependencies"], ...manifest["devDependencies"] });
    return all
      .filter(([name, version]) => !name.startsWith("@pullring/") && !/^\d/.test(version))
      .map(([name]) => `${path} ${name}`);
  });
  assert.deepEqual(loose, []);
});

test("the root has few scripts, ARCHITECTURE.md few lines", () => {
  const [manifest] = files("package.json");
  const { scripts } = JSON.parse(manifest?.text ?? "{}") as { scripts: object };
  assert.ok(Object.keys(scripts).length <= rootScriptsMax, String(Object.keys(scripts).length));
  for (const { text } of files("ARCHITECTURE.md")) assert.ok(text.split("\n").length <= architectureLinesMax);
});

const banned: readonly { readonly pattern: RegExp; readonly instead: string; readonly allowed?: RegExp }[] = [
  { pattern: /\bconsole\./, instead: "pino's log, or process.stdout in the command line" },
  {
    pattern: /\bprocess\.env\b/,
    instead: "config: only it reads the environment",
    allowed: /^packages\/server\/src\/config\//,
  },
  { pattern: /\bDate\.now\(/, instead: "the Clock port", allowed: /\/clock\.ts$/ },
  { pattern: /\bMath\.random\(/, instead: "a random port", allowed: /\/clock\.ts$/ },
  { pattern: /\.pipe\(/, instead: "pipeline, which ends both sides" },
  { pattern: /\.tee\(/, instead: "a spool, whose readers do not hold each other up" },
];

for (const { pattern, instead, allowed } of banned) {
  test(`${pattern.source} is not used: take ${instead}`, () => {
    const product = files("packages/*/src/**/*.ts").filter((source) => !isTest(source) && !allowed?.test(source.path));
    const wrong = product
      .filter(({ text }) => pattern.test(text.replace(/^\s*(?:\/\/|\*|\/\*).*$/gm, "")))
      .map(({ path }) => path);
    assert.deepEqual(wrong, []);
  });
}

test("no test is skipped or focused, and nothing is left to do without a number", () => {
  const marks = /\b(?:it|test|describe)\.(?:skip|only|todo)\(|\b(?:TODO|FIXME|XXX)\b(?! #\d)/;
  const wrong = files("packages/**/*.ts", "test/**/*.ts", "scripts/*").filter(
    ({ path, text }) => !path.startsWith("test/tidy/") && marks.test(text),
  );
  assert.deepEqual(
    wrong.map(({ path }) => path),
    [],
  );
});
