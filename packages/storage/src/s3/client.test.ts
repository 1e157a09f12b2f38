import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { test, type TestContext } from "node:test";

import { eventually, jumpingClock, memoryBlobStore, startS3Double } from "@pullring/testkit";

import { isAws } from "./client.ts";
import { openTier } from "./test-tier.ts";

/** Only what the test says may be found in the environment. */
function environment(t: TestContext, variables: Record<string, string>): void {
  const before = { ...process.env };
  for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
  const nowhere = { AWS_SHARED_CREDENTIALS_FILE: "/nonexistent", AWS_CONFIG_FILE: "/nonexistent" };
  Object.assign(process.env, nowhere, variables);
  t.after(() => {
    for (const name of Object.keys(process.env)) if (name.startsWith("AWS_")) delete process.env[name];
    Object.assign(process.env, before);
  });
}

/** A server that answers every path with a text. */
async function serve(t: TestContext, answer: (request: IncomingMessage) => string): Promise<string> {
  const server = createServer((request, response) => void response.end(answer(request)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => (server.closeAllConnections(), server.close()));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The access key that signs the tier's requests. */
async function signer(t: TestContext): Promise<string | undefined> {
  const double = await startS3Double();
  t.after(() => double.close());
  const options = {
    endpoint: double.endpoint,
    local: memoryBlobStore(),
    clock: jumpingClock(),
    credentials: undefined,
  };
  const { tier } = await openTier(options);
  await eventually(() => tier.capabilities());
  return /Credential=([^/]+)\//.exec(double.requests[0]?.headers.authorization ?? "")?.[1];
}

const expiry = new Date(Date.now() + 3_600_000).toISOString();

test("without a login of ours the environment's is used", async (t) => {
  environment(t, { AWS_ACCESS_KEY_ID: "from-environment", AWS_SECRET_ACCESS_KEY: "secret" });
  assert.equal(await signer(t), "from-environment");
});

test("a web identity's token is exchanged for a login", async (t) => {
  const dir = mkdtempSync(`${tmpdir()}/pullring-token-`);
  t.after(() => rmSync(dir, { recursive: true }));
  writeFileSync(`${dir}/token`, "token-of-the-pod");
  const login = `<AccessKeyId>from-web-identity</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>`;
  const result = `<Credentials>${login}<Expiration>${expiry}</Expiration></Credentials>`;
  const answer = `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
    <AssumeRoleWithWebIdentityResult>${result}</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`;
  environment(t, {
    AWS_WEB_IDENTITY_TOKEN_FILE: `${dir}/token`,
    AWS_ROLE_ARN: "arn:aws:iam::123456789012:role/pullring",
    AWS_ENDPOINT_URL_STS: await serve(t, () => answer),
    AWS_REGION: "us-east-1",
  });
  assert.equal(await signer(t), "from-web-identity");
});

test("an instance's role is used where there is one", async (t) => {
  const role = { Code: "Success", AccessKeyId: "from-instance", SecretAccessKey: "s", Token: "t", Expiration: expiry };
  const metadata = await serve(t, ({ url = "" }) => {
    if (url.endsWith("/api/token")) return "token";
    return url.endsWith("/security-credentials/") ? "pullring" : JSON.stringify(role);
  });
  environment(t, { AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata });
  assert.equal(await signer(t), "from-instance");
});

test("only Amazon's own names are AWS", () => {
  assert.ok(isAws(undefined));
  assert.ok(isAws("https://s3.eu-central-1.amazonaws.com"));
  assert.ok(isAws("https://s3.cn-north-1.amazonaws.com.cn"));
  assert.ok(!isAws("https://amazonaws.com.example.org"));
  assert.ok(!isAws("http://127.0.0.1:9000"));
});
