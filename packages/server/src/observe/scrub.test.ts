import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { scrub, scrubText } from "./scrub.ts";

const canary = "c4n4ry";
const hides = (value: unknown): void => {
  const told = JSON.stringify(scrub(value)) ?? "";
  assert.ok(!told.includes(canary), told);
};

test("values under secret names are hidden, at any depth and in any spelling", () => {
  for (const name of [
    "password",
    "Authorization",
    "x-auth-token",
    "access_token",
    "set-cookie",
    "clientSecret",
    "apiKey",
  ])
    hides({ request: { headers: [{ [name]: canary }] } });
  hides(new Map([["proxy-authorization", canary]]));
});

test("secrets inside texts are hidden", () => {
  for (const text of [
    `https://cdn.example.org/blob?X-Amz-Signature=${canary}&expires=1`,
    `GET /token?account=a&password=${canary} failed`,
    `https://user:${canary}@registry.example.org/v2/`,
    `Authorization: Bearer ${canary}`,
    `authorization: basic ${canary}`,
    `"token":"${canary} ${canary}"`,
    `Unexpected end of JSON input: {"access_token":"${canary}`,
    `password=${canary}, user=ci`,
    `Set-Cookie: ${canary}; Path=/`,
  ])
    hides(text);
});

test("what is not secret stays readable", () => {
  const facts = {
    path: "/v2/library/alpine/manifests/latest",
    url: "https://auth.docker.io/token",
    passwordFile: "/run/secrets/ci",
    tokenOrigins: ["https://auth.docker.io"],
    kind: "token",
    status: 401,
    ok: false,
    none: undefined,
  };
  assert.deepEqual(scrub(facts), facts);
  assert.equal(scrubText("is it there? no"), "is it there? no");
  assert.equal(scrubText("https://x/y?a=b failed"), "https://x/y?*** failed");
});

test("errors are told with their causes, without their secrets", () => {
  const cause = Object.assign(new Error(`https://a/b?sig=${canary}`), {
    headers: { cookie: canary },
    code: "ECONNRESET",
  });
  const error = new TypeError(`Bearer ${canary}`, { cause });
  hides({ err: error });
  const told = scrub(error) as { type: string; stack: string; cause: { code: string } };
  assert.equal(told.type, "TypeError");
  assert.match(told.stack, /scrub\.test\.ts/);
  assert.equal(told.cause.code, "ECONNRESET");
});

test("bodies, functions and what is too deep are not told", () => {
  hides({ body: Buffer.from(canary) });
  let deep: unknown = canary;
  for (let depth = 0; depth < 20; depth++) deep = { deep };
  hides(deep);
  const ring: Record<string, unknown> = {};
  ring["self"] = ring;
  assert.ok(JSON.stringify(scrub(ring)).length < 200);
  assert.equal(JSON.stringify(scrub({ f: () => canary, n: 10n })), '{"n":"10"}');
});

test("what hides itself is asked how", () => {
  assert.deepEqual(scrub({ account: { toJSON: () => "***", inner: canary } }), { account: "***" });
  assert.deepEqual(scrub({ at: new Date(0) }), { at: "1970-01-01T00:00:00.000Z" });
});

test("long and hostile texts are bounded in size and time", () => {
  assert.ok(scrubText("x".repeat(1_000_000)).length < 5_000);
  const started = performance.now();
  for (const part of ["token", "//", "?", "a-", "Bearer ", "=", '"', "token:", 'token="'])
    scrubText(part.repeat(100_000));
  assert.ok(performance.now() - started < 1_000);
});

test("no value makes it throw", () => {
  fc.assert(
    fc.property(fc.anything({ withBigInt: true, withMap: true, withSet: true, withDate: true }), (value) => {
      JSON.stringify(scrub(value));
    }),
  );
});
