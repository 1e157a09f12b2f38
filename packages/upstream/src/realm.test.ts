import assert from "node:assert/strict";
import { test } from "node:test";

import { tokenUrl } from "./realm.ts";
import { failsAs } from "./test-rig.ts";

const upstream = {
  name: "docker.io",
  url: new URL("https://registry.example.org"),
  tokenOrigins: ["https://auth.example.org", "http://plain.example.org"],
  allowPrivateAddresses: true,
  connectionsMax: 1,
  bandwidthBytesPerSec: 0,
  offline: false,
};
const ask = (realm: string, service?: string): string =>
  tokenUrl({ kind: "bearer", realm, service }, "repository:a/b:pull", upstream).href;

test("a configured token server is asked, and so is the registry itself", () => {
  assert.equal(
    ask("https://auth.example.org/token", "registry"),
    "https://auth.example.org/token?service=registry&scope=repository%3Aa%2Fb%3Apull",
  );
  assert.equal(
    ask("https://registry.example.org/jwt"),
    "https://registry.example.org/jwt?scope=repository%3Aa%2Fb%3Apull",
  );
  assert.equal(
    ask("https://auth.example.org:443/token#x"),
    "https://auth.example.org/token?scope=repository%3Aa%2Fb%3Apull",
  );
});

test("a query that the realm has already stays, except for its scope", () => {
  const url = new URL(ask("https://auth.example.org/p?a=b%3D&scope=repository:x/y:pull,push"));
  assert.deepEqual(
    [...url.searchParams],
    [
      ["a", "b="],
      ["scope", "repository:a/b:pull"],
    ],
  );
});

const refused = [
  "https://evil.example/token",
  "https://auth.example.org.evil.example/token",
  "https://auth.example.org@evil.example/token",
  "https://user:word@auth.example.org/token",
  "https://auth.example.org:8443/token",
  "http://auth.example.org/token",
  "http://registry.example.org/token",
  "http://plain.example.org/token",
  "//auth.example.org/token",
  "/token",
  "ftp://auth.example.org/token",
  "",
];

for (const realm of refused)
  test(`a realm of "${realm}" is refused`, () => assert.throws(() => ask(realm), failsAs("unavailable", "refused")));
