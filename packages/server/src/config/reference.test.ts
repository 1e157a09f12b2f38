import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { parse } from "yaml";
import type * as z from "zod";

import type { Config } from "./config.ts";
import { loadConfig } from "./load-config.ts";
import { referenceFile, renderReference, withReference } from "./reference.ts";
import { keyOf } from "./schema-tree.ts";
import { schema } from "./schema.ts";

const document = readFileSync(referenceFile, "utf8");

const load = (tree: unknown): Promise<Config> =>
  loadConfig({
    file: "c.yaml",
    env: {},
    readFile: (path) => Promise.resolve(path === "c.yaml" ? JSON.stringify(tree) : ""),
    hostname: "n1",
  });

/** The tree that takes `choose` at each key that has a description; without the keys for which it gives undefined. */
function treeOf(item: z.core.$ZodType, choose: (key: ReturnType<typeof keyOf>) => unknown): unknown {
  const key = keyOf(item);
  const chosen = choose(key);
  if (chosen !== undefined) return chosen;
  const { shape } = key;
  if (shape.is === "scalar") return undefined;
  if (shape.is === "section") {
    return Object.fromEntries(Object.entries(shape.keys).map(([name, child]) => [name, treeOf(child, choose)]));
  }
  const inner = treeOf(shape.item, choose);
  return shape.is === "map" ? { "registry.example.org": inner } : [inner].filter((value) => value !== undefined);
}

test("docs/configuration.md says what the schema says", () => {
  assert.ok(
    withReference(document) === document,
    "docs/configuration.md is stale: run `node packages/server/src/config/reference.ts --write` with Node 24 (node_modules/.bin/node)",
  );
});

test("a stale, missing or extra row, or another default, would be noticed", () => {
  for (const [part, instead] of [
    ["| `60s` |", "| `61s` |"],
    ["| `tags.fresh` |", "| `tags.fresher` |"],
    ["| `log.level` |", ""],
  ] as const) {
    assert.ok(renderReference().includes(part));
    const changed = document.replace(part, instead);
    assert.ok(withReference(changed) !== changed, part);
  }
});

test("every key has a description, and every value a type and an example", () => {
  const visit = (item: z.core.$ZodType, path: string): void => {
    const { shape, meta } = keyOf(item);
    if (shape.is === "section") for (const [name, child] of Object.entries(shape.keys)) visit(child, `${path}.${name}`);
    else if (!path.endsWith("[]")) assert.equal(typeof meta["description"], "string", path);
    if (shape.is === "scalar") assert.equal(typeof meta["type"], "string", path);
    if (shape.is === "scalar" && !path.endsWith("[]")) assert.notEqual(meta["example"], undefined, path);
    if (shape.is === "list" || shape.is === "map") visit(shape.item, `${path}[]`);
  };
  visit(schema, "");
});

test("the documented defaults, written into a file, change nothing", async () => {
  const defaults = treeOf(schema, (key) => (key.shape.is === "section" ? undefined : key.default));
  // Sections that are absent by default have keys that are required, once they are there.
  const {
    tls: _tls,
    cluster: _cluster,
    ledger: _ledger,
    tracing: _tracing,
    egress: _egress,
    clients,
    storage,
    ...rest
  } = defaults as Record<string, object>;
  const tree = { ...rest, clients: { ...clients, auth: undefined }, storage: { ...storage, s3: undefined } };
  const plain = (config: Config): unknown => JSON.parse(JSON.stringify(config));
  assert.deepEqual(plain(await load(tree)), plain(await load({})));
});

/** The tree without the keys that this grammar matches, however deep. */
function without(grammar: RegExp, tree: unknown): unknown {
  if (typeof tree !== "object" || tree === null) return tree;
  if (Array.isArray(tree)) return tree.map((item) => without(grammar, item));
  const kept = Object.entries(tree).filter(([name]) => !grammar.test(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, without(grammar, value)]));
}

/** Of each pair of keys that exclude each other one: secrets inline, and each way to a Redis in turn. */
const ways: readonly RegExp[] = [
  /^(?:passwordFile|secretFile|members|sentinel\w*|master|tls)$/,
  /^(?:\w*[pP]asswordFile|secretFile|members|url)$/,
  /^(?:passwordFile|secretFile|redis|tls)$/,
];

for (const excluded of ways) {
  test(`the documented examples but ${excluded.source} are a configuration`, async () => {
    const { cluster, ...rest } = treeOf(schema, (key) => key.meta["example"]) as { cluster: unknown };
    const others = /^(?:(?:password|token|secretAccessKey|headers)File|proxy)$/;
    const config = await load({ ...(without(others, rest) as object), cluster: without(excluded, cluster) });
    assert.equal(config.upstreams["registry.example.org"]?.connectionsMax, 16);
    assert.equal(config.clients.rules[0]?.users?.[0], "ci");
    assert.equal(config.cluster?.peer.listen.port, 5002);
  });
}

test("the YAML and the variables in the document's prose are right", async () => {
  const blocks = (language: string): string[] =>
    [...document.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms"))].map((match) => match[1] ?? "");
  const files = blocks("yaml");
  assert.ok(files.length >= 2);
  for (const text of files) {
    // Files of secrets are opened, and these are nowhere.
    const tree = JSON.stringify(parse(text)).replace(/"(\w+)File":"[^"]*"/g, (twin, name: string) =>
      name === "htpasswd" ? twin : `"${name}":"s"`,
    );
    await load(JSON.parse(tree));
  }
  const lines = blocks("sh").join("").trim().split("\n");
  const env = Object.fromEntries(lines.map((line) => [line.split("=")[0], line.replace(/^[^=]*='?|'$/g, "")]));
  assert.ok(lines.length >= 3);
  await loadConfig({ env });
});
