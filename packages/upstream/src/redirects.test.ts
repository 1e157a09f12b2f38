import assert from "node:assert/strict";
import { test } from "node:test";

import { redirectTarget } from "./redirects.ts";
import { failsAs } from "./test-rig.ts";

const from = new URL("https://registry.example.org/v2/a/blobs/x?y=1");
const target = (location: string | undefined): string => redirectTarget(location, from).href;

test("a Location is read against the address that was asked", () => {
  assert.equal(target("/dl/x"), "https://registry.example.org/dl/x");
  assert.equal(target("z"), "https://registry.example.org/v2/a/blobs/z");
  assert.equal(target("//cdn.example.org/x?sig=a%2Fb#part"), "https://cdn.example.org/x?sig=a%2Fb");
});

test("http may lead to http and to https", () => {
  assert.equal(redirectTarget("http://b.example/", new URL("http://a.example/")).href, "http://b.example/");
  assert.equal(redirectTarget("https://b.example/", new URL("http://a.example/")).href, "https://b.example/");
});

for (const location of [
  undefined,
  "http://cdn.example.org/",
  "ftp://x/",
  "file:///etc/passwd",
  "https://u:p@x/",
  "https://",
  "javascript:1",
])
  test(`a redirect to ${location} is refused`, () => assert.throws(() => target(location), failsAs("unavailable")));
