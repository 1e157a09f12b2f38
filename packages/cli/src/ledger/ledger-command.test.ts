import assert from "node:assert/strict";
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { run } from "../run.ts";
import { ledgerOf, other } from "./test-ledger.ts";

async function check(...words: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const output = { out: (text: string) => void (out += text), err: (text: string) => void (err += text) };
  const code = await run(["ledger", "check", ...words], output);
  return { code, out, err };
}

const clean = { lines: [{ kind: "ask" }, { kind: "answer" }, { kind: "fill" }, { kind: "response" }] } as const;
const again = { node: "n2", startsAt: 60_000, lines: [{ kind: "ask" }, { kind: "answer" }] } as const;

test("a ledger in which everything holds: a table, and exit code 0", async (t) => {
  const { code, out, err } = await check(ledgerOf(t, [clean]));
  assert.deepEqual([code, err], [0, ""]);
  assert.match(out, /^6 lines in 1 files of 1 nodes \(n1\), 0 of them cut off$/m);
  assert.match(out, /^ +1 +one GET per blob +1 +0 +0$/m);
  assert.match(out, /^no promise is broken$/m);
});

test("a violation: its place, and exit code 1; the whole report as JSON", async (t) => {
  const dir = ledgerOf(t, [{ lines: [{ kind: "response", hash: other }] }]);
  const { code, out } = await check(dir);
  assert.equal(code, 1);
  assert.match(out, new RegExp(`^${dir}/0\\.ndjson:2: promise 2: what was sent as sha256:.* is ${other}$`, "m"));
  const { out: json } = await check(dir, "--json");
  const report = JSON.parse(json) as { violations: { promise: number; line: number }[] };
  assert.deepEqual(
    report.violations.map(({ promise, line }) => [promise, line]),
    [[2, 2]],
  );
});

test("several directories are one ledger", async (t) => {
  const dirs = [ledgerOf(t, [clean]), ledgerOf(t, [again])];
  for (const dir of dirs) assert.equal((await check(dir)).code, 0);
  assert.equal((await check(...dirs)).code, 1);
});

test("GETs too many that somebody knows the reason of can be allowed, by their number", async (t) => {
  const dir = ledgerOf(t, [clean, again, { ...again, node: "n3", startsAt: 90_000 }]);
  assert.equal((await check(dir, "--allow-extra", "1")).code, 1);
  assert.equal((await check(dir, "--allow-extra", "2")).code, 0);
});

test("a last line that is torn is left out: its node was killed", async (t) => {
  const dir = ledgerOf(t, [{ ...clean, stops: false }]);
  appendFileSync(join(dir, "0.ndjson"), '{"at":9000,"kind":"resp');
  const { code, out } = await check(dir);
  assert.equal(code, 0);
  assert.match(out, /^5 lines .* 1 of them cut off$/m);
});

test("what is no ledger proves nothing: exit code 2", async (t) => {
  const torn = ledgerOf(t, [clean]);
  const file = join(torn, readdirSync(torn)[0] ?? "");
  writeFileSync(file, readFileSync(file, "utf8").replace('"kind":"answer"', '"kind":"answer'));
  const start = '{"at":0,"kind":"start","node":"n1","upstreams":[],"version"';
  const cases: Readonly<Record<string, readonly string[]>> = {
    "a line in the middle that is no line": [torn],
    "no such directory": ["/does/not/exist"],
    "no file": [ledgerOf(t, [])],
    "no line": [ledgerOf(t, [""])],
    "no beginning": [ledgerOf(t, ['{"at":0,"kind":"beat"}\n'])],
    "another version": [ledgerOf(t, [`${start}:2}\n`])],
    "a kind that nobody knows": [ledgerOf(t, [`${start}:1}\n{"at":0,"kind":"new"}\n{"at":0,"kind":"stop"}\n`])],
    "lost lines": [ledgerOf(t, [{ lines: [{ kind: "lost", lines: 3 }] }])],
    "no directory": [],
    "no number": [ledgerOf(t, [clean]), "--allow-extra", "some"],
  };
  for (const [name, words] of Object.entries(cases)) {
    const { code, err } = await check(...words);
    assert.equal(code, 2, name);
    assert.notEqual(err, "", name);
  }
  let err = "";
  assert.equal(await run(["ledger", "mend"], { out: () => {}, err: (text) => void (err += text) }), 2);
  assert.notEqual(err, "");
});

test("lost lines don't hide what is broken", async (t) => {
  const dir = ledgerOf(t, [{ lines: [{ kind: "lost" }, { kind: "response", hash: other }] }]);
  assert.equal((await check(dir)).code, 1);
});
