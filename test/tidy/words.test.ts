import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

import { files, root } from "./sources.ts";

test("links in documents lead somewhere", () => {
  const wrong = files("*.md", "docs/**/*.md", "packages/**/*.md").flatMap(({ path, text }) =>
    [...text.matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)/g)]
      .map((match) => match[1] ?? "")
      .filter((target) => !existsSync(join(root, dirname(path), target)))
      .map((target) => `${path} → ${target}`),
  );
  assert.deepEqual(wrong, []);
});

test("every package that a reader meets has a README", () => {
  const packages = files("packages/*/package.json").map(({ path }) => dirname(path));
  assert.deepEqual(
    packages.filter((path) => !existsSync(join(root, path, "README.md"))),
    [],
  );
});
