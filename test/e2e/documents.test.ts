import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { needs } from "../real/needs.ts";

const execute = promisify(execFile);
const script = fileURLToPath(new URL("documents-run.ts", import.meta.url));

interface Run {
  readonly document: string;
  readonly script: string;
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A network of one's own, where port 5000 is free and nothing else is reached, takes root. */
const skip =
  needs("unshare", "ip", "curl", "openssl") ||
  (process.getuid?.() === 0 ? false : "needs root, for a network of its own");

suite("the documents", { skip, timeout: 120_000 }, () => {
  test("have commands that work, from the quick start on", async () => {
    const { stdout } = await execute("unshare", ["--net", process.execPath, script], { maxBuffer: 2 ** 24 });
    const runs = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Run);
    const failed = runs.filter(({ code }) => code !== 0);
    assert.deepEqual(failed, []);
    const outOf = (part: string): string => runs.find((run) => run.script.includes(part))?.out ?? assert.fail(part);
    assert.match(outOf("manifests/latest"), /docker-content-digest: sha256:/i);
    assert.match(outOf("metrics"), /^pullring_requests_total\{/m);
    assert.match(outOf("npx pullring client"), /registry-mirrors/);
    assert.ok(runs.length >= 6);
  });
});
