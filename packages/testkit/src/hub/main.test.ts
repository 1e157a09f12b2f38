import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ask } from "../ask.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));

test("the program tells how to point at it, serves its catalogue and ends on SIGTERM", async (t) => {
  const child = spawn(process.execPath, [main, "--port", "0", "--limit", "3"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  let text = "";
  for await (const chunk of child.stdout.setEncoding("utf8")) {
    text += chunk as string;
    if (text.includes("Ctrl-C")) break;
  }
  const [, url, tokenOrigin] =
    /docker\.io: \{ url: "(\S+)", tokenOrigins: \["(\S+)"\], allowPrivateAddresses: true \}/.exec(text) ?? [];
  assert.match(text, /acme\/private:latest/);
  const { body } = await ask(`${tokenOrigin}/token?scope=repository:library/alpine:pull`);
  const { token } = JSON.parse(body.toString()) as { token: string };
  const accept = "application/vnd.oci.image.index.v1+json";
  const headers = { authorization: `Bearer ${token}`, accept };
  const manifest = await ask(`${url}/v2/library/alpine/manifests/3`, { headers });
  assert.deepEqual([manifest.status, manifest.headers["ratelimit-limit"]], [200, "3;w=21600"]);
  child.kill("SIGTERM");
  assert.deepEqual(await once(child, "exit"), [0, null]);
});

test("a flag that makes no sense is named, with what is allowed", async () => {
  const child = spawn(process.execPath, [main, "--port", "70000"], { stdio: ["ignore", "ignore", "pipe"] });
  const text = (await child.stderr.setEncoding("utf8").toArray()).join("");
  assert.match(text, /--port is 70000: want a whole number from 0 to 65532/);
  assert.equal(child.exitCode ?? ((await once(child, "exit"))[0] as number), 1);
});
