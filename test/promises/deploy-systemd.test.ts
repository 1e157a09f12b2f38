import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempDisposable, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { needs } from "../real/needs.ts";

const execute = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));

/** From 0, locked up, to 10, wide open. What a service that listens, dials out and compiles as it runs can't do without is about 1. */
const exposureMax = 1.5;

suite("deploy/systemd", { skip: needs("systemd-analyze") }, () => {
  test("the unit is one that systemd takes, its program is there, and it is locked up", async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "pullring-systemd-"));
    const text = await readFile(join(root, "deploy/systemd/pullring.service"), "utf8");
    const file = join(folder.path, "pullring.service");
    await writeFile(file, text.replaceAll("/opt/pullring/", root));
    const { stderr } = await execute("systemd-analyze", ["verify", "--man=no", file]);
    assert.equal(stderr, "");
    const { stdout } = await execute("systemd-analyze", ["security", "--offline=true", file]);
    const [, level = "none"] = /exposure level for \S+: ([\d.]+)/.exec(stdout) ?? [];
    assert.ok(Number(level) <= exposureMax, `exposure level ${level}`);
  });
});
