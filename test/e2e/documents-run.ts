// Runs the commands of the documents that are marked as run, in a network of its own where the stand-in is Docker Hub. For documents.test.ts.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

import { eventually, fillCatalogue, startHub } from "../../packages/testkit/src/index.ts";
import { commandBlocks, documents, root } from "../real/documents.ts";
import { asDockerHub } from "../real/pullring.ts";

interface Place {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

function begin(script: string, { env, cwd }: Place) {
  return spawn("bash", ["-euo", "pipefail", "-c", script], {
    env,
    cwd,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function run(document: string, script: string, place: Place): Promise<void> {
  const child = begin(script, place);
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  process.stdout.write(`${JSON.stringify({ document, script, code, out, err })}\n`);
}

await using folder = await mkdtempDisposable(join(tmpdir(), "pullring-documents-"));
await once(spawn("ip", ["link", "set", "lo", "up"], { stdio: "inherit" }), "exit");
const hub = await startHub();
fillCatalogue(hub);
const env = {
  ...process.env,
  PATH: `${root}node_modules/.bin:${process.env["PATH"]}`,
  PULLRING_STORAGE__DISK__PATH: join(folder.path, "disk"),
  PULLRING_UPSTREAMS: JSON.stringify(asDockerHub(hub)),
};
const blocks = documents().flatMap(commandBlocks);
const background = blocks.filter(({ mark }) => mark === "run in the background");
const children = background.map(({ text: script }) => begin(script, { env, cwd: root }));
for (const child of children) {
  child.stdout.resume();
  child.stderr.resume();
}
await eventually(async () => (await fetch("http://127.0.0.1:5000/readyz").catch(() => undefined))?.status === 200, {
  timeoutMs: 60_000,
});
for (const { document, mark, text: script } of blocks)
  // Whatever writes files writes them there; npx finds the checkout all the same.
  if (mark === "run") await run(document, script, { env, cwd: document === "docs/tls.md" ? folder.path : root });
for (const child of children) if (child.pid !== undefined) process.kill(-child.pid, "SIGTERM");
await Promise.all(children.map((child) => once(child, "exit")));
await hub.close();
