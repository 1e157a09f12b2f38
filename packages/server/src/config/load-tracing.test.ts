import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import type { Config } from "./config.ts";
import { loadConfig } from "./load-config.ts";
import { ConfigError } from "./problem.ts";

const file = "pullring.yaml";
const endpoint = "http://collector:4318";

async function tracingOf(tracing: unknown, env: Record<string, string> = {}): Promise<Config["tracing"]> {
  const readFile = (path: string): Promise<string> =>
    path === file ? Promise.resolve(JSON.stringify({ tracing })) : Promise.reject(new Error(`no ${path}`));
  return (await loadConfig({ file, env, readFile, hostname: "n1" })).tracing;
}

const refused = async (tracing: unknown): Promise<string> =>
  tracingOf(tracing).then(
    () => assert.fail("it was taken"),
    (error: unknown) => (assert.ok(error instanceof ConfigError), error.message),
  );

test("nothing is traced unless it is asked for, and then no more than the endpoint is needed", async () => {
  assert.equal(await tracingOf(undefined), undefined);
  const whole = { endpoint: `${endpoint}/v1/traces`, sample: 1, serviceName: "pullring" };
  assert.deepEqual(await tracingOf({ endpoint }), whole);
  assert.deepEqual(
    await tracingOf(undefined, { PULLRING_TRACING__ENDPOINT: endpoint, PULLRING_TRACING__SAMPLE: "0.25" }),
    {
      ...whole,
      sample: 0.25,
    },
  );
});

test("the path of OTLP's traces is added where it is not there", async () => {
  for (const [given, meant] of [
    ["https://otlp.example.org", "https://otlp.example.org/v1/traces"],
    ["https://otlp.example.org/", "https://otlp.example.org/v1/traces"],
    ["https://otlp.example.org/otlp/", "https://otlp.example.org/otlp/v1/traces"],
    ["https://otlp.example.org/v1/traces", "https://otlp.example.org/v1/traces"],
  ])
    assert.equal((await tracingOf({ endpoint: given }))?.endpoint, meant);
});

test("what can be no collector's address and no share is refused, with what would do", async () => {
  for (const wrong of ["collector:4318", "grpc://c:4317", "http://u:p@c:4318", "http://c?key=1", "http://", 7])
    assert.match(await refused({ endpoint: wrong }), /tracing\.endpoint .*allowed: an http or https URL/);
  for (const wrong of [-0.1, 1.1, "half", Number.NaN])
    assert.match(await refused({ endpoint, sample: wrong }), /tracing\.sample .*from 0 to 1/);
  assert.match(await refused({ endpoint, serviceName: "a b" }), /tracing\.serviceName/);
  assert.match(await refused({ sample: 1 }), /tracing\.endpoint/);
  assert.match(await refused({ endpoint, headers: "a: b", headersFile: "/f" }), /headers or headersFile/);
});

test("headers are a secret: kept in a file, or hidden wherever they are told", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "pullring-tracing-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const headersFile = join(dir, "headers");
  writeFileSync(headersFile, "Authorization: Bearer canary\n");
  for (const given of [{ headersFile }, { headers: "Authorization: Bearer canary" }]) {
    const tracing = await tracingOf({ endpoint, ...given });
    assert.equal(tracing?.headers?.read(), "Authorization: Bearer canary");
    assert.ok(!JSON.stringify(tracing).includes("canary"));
  }
  assert.ok(!(await refused({ endpoint, headers: ["canary"] })).includes("canary"));
  assert.ok(!(await refused({ endpoint, headersFile: "/canary" })).includes("canary"));
});
