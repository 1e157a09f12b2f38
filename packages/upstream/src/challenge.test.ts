import assert from "node:assert/strict";
import { test } from "node:test";

import { parseChallenges } from "./challenge.ts";

const plain = (text: string) => parseChallenges(text).map(({ scheme, params }) => [scheme, Object.fromEntries(params)]);

const cases: Record<string, [string, unknown]> = {
  "Docker Hub's": [
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull"',
    [
      [
        "bearer",
        {
          realm: "https://auth.docker.io/token",
          service: "registry.docker.io",
          scope: "repository:library/alpine:pull",
        },
      ],
    ],
  ],
  "nvcr.io's realm with a query that holds = and ,": [
    'Bearer realm="https://nvcr.io/proxy_auth?scope=repository:a/b:pull,push"',
    [["bearer", { realm: "https://nvcr.io/proxy_auth?scope=repository:a/b:pull,push" }]],
  ],
  "unquoted values, spaces around = and names in any case": [
    "BEARER Realm = https , sErvice=x",
    [["bearer", { realm: "https", service: "x" }]],
  ],
  "escaped quotes": [String.raw`Basic realm="say \"hi\", \\o/"`, [["basic", { realm: String.raw`say "hi", \o/` }]]],
  "several challenges in one header": [
    'Negotiate, Basic realm="a", Bearer realm="b",error="invalid_token"',
    [
      ["negotiate", {}],
      ["basic", { realm: "a" }],
      ["bearer", { realm: "b", error: "invalid_token" }],
    ],
  ],
  "token68 beside others": [
    'NTLM TlRMTVNTUAAB==, Basic realm="a"',
    [
      ["ntlm", {}],
      ["basic", { realm: "a" }],
    ],
  ],
  "a scheme without parameters": ["Basic", [["basic", {}]]],
  "the first of a name given twice": ['Bearer realm="a",realm="b"', [["bearer", { realm: "a" }]]],
  "empty list elements": [',, Basic realm="a",,', [["basic", { realm: "a" }]]],
  nothing: ["", []],
  "an open quote": ['Bearer realm="https://a', []],
  "a broken challenge after a good one": ['Basic realm="a", Bearer realm="', [["basic", { realm: "a" }]]],
  "what is no challenge": ['="a"', []],
};

for (const [name, [header, expected]] of Object.entries(cases)) {
  test(`reads ${name}`, () => assert.deepEqual(plain(header), expected));
}

test("a hostile header is read in time that grows with its length only", () => {
  for (const piece of ["a ", '"', 'a="\\', "a=b,", "=", ", "]) {
    const text = `Bearer ${piece.repeat(60_000 / piece.length)}`;
    const startedMs = performance.now();
    parseChallenges(text);
    assert.ok(performance.now() - startedMs < 250, piece);
  }
});
