import assert from "node:assert/strict";
import { test } from "node:test";

import { parseHtpasswd } from "./htpasswd.ts";

const hash = `$2y$05$${"abcdefghijklmnopqrstuv".repeat(3).slice(0, 53)}`;

test("users are read with their hashes, comments and blank lines are not", () => {
  const text = `# made by hand\r\nci:${hash}\r\n\n  dev:${hash.replace("2y", "2a")}\nops:${hash.replace("2y", "2b")}`;
  assert.deepEqual([...parseHtpasswd(text).keys()], ["ci", "dev", "ops"]);
  assert.equal(parseHtpasswd(text).get("ci"), hash);
  assert.equal(parseHtpasswd("").size, 0);
});

test("a scheme other than bcrypt is refused by its user, and its hash stays unsaid", () => {
  const wrong = [
    "{SHA}canary",
    "$apr1$canary$canary",
    "canary",
    "$5$canary$canary",
    "",
    `${hash}canary`,
    hash.slice(0, -1),
  ];
  for (const text of [...wrong, hash.replace("$05$", "$03$"), hash.replace("$05$", "$32$"), hash.replace("2y", "2x")])
    assert.throws(
      () => parseHtpasswd(`ci:${hash}\nold:${text}\n`),
      (error: Error) => error.message.startsWith('line 2: the password of "old"') && !/canary|\$/.test(error.message),
      text,
    );
});

test("a line without a user is refused by its number only", () => {
  for (const text of ["canary", ":canary"])
    assert.throws(() => parseHtpasswd(`ci:${hash}\n${text}`), { message: "line 2 is not user:hash" });
});

test("a user is there once", () => {
  assert.throws(() => parseHtpasswd(`ci:${hash}\nci:${hash}`), /^Error: line 2: the user "ci" is there twice$/);
});
