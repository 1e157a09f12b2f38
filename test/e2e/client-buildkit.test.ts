import assert from "node:assert/strict";
import { mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

import { eventually } from "@pullring/testkit";

import { makeMachine, needsMachine, printedBy } from "../real/client-machine.ts";
import { startClientNodes } from "../real/client-nodes.ts";
import { findTool, needs } from "../real/needs.ts";

/** Debian has no package with them, so nothing installs them, and a machine without them lacks nothing that it should have. */
const needsBuildkit = (): string | false =>
  findTool("buildkitd") && findTool("buildctl") ? false : "needs buildkitd and buildctl, which Debian does not have";

describe(
  "what `pullring client buildkit` prints",
  { skip: needsBuildkit() || needs("openssl") || needsMachine() },
  () => {
    test("makes a build pull its base through a node that serves http, and one that serves https", async () => {
      await using stack = new AsyncDisposableStack();
      const folder = async (): Promise<string> =>
        stack.use(await mkdtempDisposable(join(tmpdir(), "pullring-buildkit-"))).path;
      const nodes = stack.use(await startClientNodes(await folder()));
      const { plain, secure, certificates } = nodes;
      for (const [scheme, ...url] of [
        ["http", "--url", plain.url],
        ["https", "--url", secure.url, "--ca", certificates.ca],
      ] as const) {
        const machine = stack.use(await makeMachine(await folder(), await printedBy("buildkit", ...url)));
        const { dir } = machine;
        const address = `unix://${dir}/sock`;
        const workers = ["--oci-worker-snapshotter", "native", "--containerd-worker=false"];
        const daemon = machine.start("buildkitd", ["--root", `${dir}/root`, "--addr", address, ...workers]);
        const buildctl = (...args: readonly string[]) => machine.run("buildctl", ["--addr", address, ...args]);
        const answers = async (): Promise<boolean> => {
          if (!daemon.isRunning) throw new Error(`it ended:\n${daemon.logs()}`);
          return buildctl("debug", "workers").then(
            () => true,
            () => false,
          );
        };
        await eventually(answers, { timeoutMs: 30_000, intervalMs: 100 });
        const { image } = nodes.addImage(`buildkit-${scheme}`);
        const context = join(dir, "context");
        await mkdir(context);
        await writeFile(join(context, "Dockerfile"), `FROM ${image}\n`);
        const local = ["--local", `context=${context}`, "--local", `dockerfile=${context}`];
        await buildctl("build", "--frontend", "dockerfile.v0", ...local, "--output", `type=oci,dest=${dir}/out.tar`);
        assert.equal(nodes.fetches(`buildkit-${scheme}`), 1);
      }
    });
  },
);
