import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { watchedFile } from "./watched-file.ts";

/** A file of its own, a clock that a test moves, and what was reported. */
function setUp(t: TestContext, text: string) {
  const dir = mkdtempSync(join(tmpdir(), "pullring-watched-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, "file");
  writeFileSync(path, text);
  let now = 0;
  const errors: string[] = [];
  const parsed: string[] = [];
  const parse = (content: string): string => {
    parsed.push(content);
    if (content.startsWith("bad")) throw new Error(`${content.length} bytes of nonsense`);
    return content.toUpperCase();
  };
  const onError = (error: Error): void => void errors.push(error.message);
  return {
    dir,
    path,
    errors,
    parsed,
    options: { parse, onError, clock: { monotonic: () => now } },
    pass: (ms: number) => (now += ms),
  };
}

test("a change is seen when the file is used a second later, and not before", (t) => {
  const { path, options, pass, parsed } = setUp(t, "one");
  const file = watchedFile(path, options);
  writeFileSync(path, "three");
  assert.equal(file.current(), "ONE");
  pass(999);
  assert.equal(file.current(), "ONE");
  pass(1);
  assert.equal(file.current(), "THREE");
  assert.deepEqual(parsed, ["one", "three"]);
});

test("a file that did not change is not read again", (t) => {
  const { path, options, pass, parsed } = setUp(t, "one");
  const file = watchedFile(path, options);
  for (let second = 0; second < 5; second++) {
    pass(1_000);
    file.current();
  }
  assert.deepEqual(parsed, ["one"]);
});

test("a link that is swapped for one to another file of the same size is a change", (t) => {
  const { dir, path, options, pass } = setUp(t, "one");
  const [link, next] = [join(dir, "link"), join(dir, "next")];
  symlinkSync(path, link);
  const file = watchedFile(link, options);
  writeFileSync(join(dir, "other"), "two");
  symlinkSync(join(dir, "other"), next);
  renameSync(next, link);
  pass(1_000);
  assert.equal(file.current(), "TWO");
});

test("a failing re-read keeps the last good value and is reported once; the next good state counts", (t) => {
  const { path, options, pass, errors } = setUp(t, "one");
  const file = watchedFile(path, options);
  for (const text of ["bad", "bad", "bad 2"]) {
    writeFileSync(path, text);
    pass(1_000);
    assert.equal(file.current(), "ONE");
  }
  assert.deepEqual(errors, ["3 bytes of nonsense", "5 bytes of nonsense"]);
  rmSync(path);
  for (let second = 0; second < 3; second++) {
    pass(1_000);
    assert.equal(file.current(), "ONE");
  }
  assert.equal(errors.length, 3);
  assert.match(errors[2] ?? "", /ENOENT/);
  writeFileSync(path, "four");
  pass(1_000);
  assert.equal(file.current(), "FOUR");
  assert.equal(errors.length, 3);
});

test("a failure that went away and came back is reported again", (t) => {
  const { path, options, pass, errors } = setUp(t, "one");
  const file = watchedFile(path, options);
  for (const text of ["bad", "good", "bad"]) {
    writeFileSync(path, text);
    pass(1_000);
    file.current();
  }
  assert.equal(errors.length, 2);
});

test("what can't be read or parsed at first throws, a directory and a file of 5 MiB too", (t) => {
  const { dir, path, options } = setUp(t, "bad");
  assert.throws(() => watchedFile(path, options), /nonsense/);
  assert.throws(() => watchedFile(join(dir, "absent"), options), /ENOENT/);
  assert.throws(() => watchedFile(dir, options), /not a regular file/);
  writeFileSync(path, Buffer.alloc(5 * 1024 * 1024));
  assert.throws(() => watchedFile(path, options), /larger than/);
});
