import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { format, inspect } from "node:util";

import { fileSecret, inlineSecret, type SecretSource } from "./secret-source.ts";

const canary = "canary-7f3a";

function fileOf(t: TestContext, text: string): string {
  const dir = mkdtempSync(join(tmpdir(), "pullring-secret-"));
  t.after(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, "secret"), text);
  return join(dir, "secret");
}

function assertHidden(secret: SecretSource): void {
  const nested = { account: { password: secret } };
  const texts = [
    String(secret),
    JSON.stringify(nested),
    inspect(nested, { depth: 9, showHidden: true }),
    inspect(secret, { customInspect: false, showHidden: true, depth: 9 }),
    format("%s %o %j", secret, secret, secret),
    JSON.stringify({ ...secret }),
  ];
  for (const text of texts) assert.ok(!text.includes(canary), text);
  assert.equal(String(secret), "***");
}

test("a secret is told by read alone", (t) => {
  const clock = { monotonic: () => 0 };
  for (const secret of [inlineSecret(canary), fileSecret(fileOf(t, canary), { clock, onError: () => {} })]) {
    assert.equal(secret.read(), canary);
    assertHidden(secret);
  }
});

for (const [text, meant] of [
  ["s", "s"],
  ["s\n", "s"],
  ["s\r\n", "s"],
  ["s\n\n", "s\n"],
  [" s ", " s "],
] as const) {
  test(`a file with ${JSON.stringify(text)} holds the secret ${JSON.stringify(meant)}`, (t) => {
    assert.equal(fileSecret(fileOf(t, text), { clock: { monotonic: () => 0 }, onError: () => {} }).read(), meant);
  });
}

test("a new secret in the file counts without a restart; a file that was emptied does not", (t) => {
  let now = 0;
  const errors: Error[] = [];
  const file = fileOf(t, "first\n");
  const secret = fileSecret(file, { clock: { monotonic: () => now }, onError: (error) => errors.push(error) });
  writeFileSync(file, "second-one\n");
  now += 1_000;
  assert.equal(secret.read(), "second-one");
  writeFileSync(file, "");
  now += 1_000;
  assert.equal(secret.read(), "second-one");
  assert.equal(errors.length, 1);
});
