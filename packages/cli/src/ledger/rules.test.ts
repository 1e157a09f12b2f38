import assert from "node:assert/strict";
import { test } from "node:test";

import { check, digest, other, placesOf, type Sketch } from "./test-ledger.ts";

const linked: Sketch = { kind: "response", access: "linked" };

/** Each of these ledgers breaks one promise, in the line that is named; without that line's fault it breaks none. */
const broken: readonly {
  readonly name: string;
  readonly lines: readonly Sketch[];
  readonly instead: readonly Sketch[];
  readonly found: string;
}[] = [
  {
    name: "a whole body that is not what its digest says",
    lines: [{ kind: "response", hash: other }],
    instead: [{ kind: "response" }],
    found: "2@0:2",
  },
  {
    name: "a whole body without a hash",
    lines: [{ kind: "response", hash: "" }],
    instead: [{ kind: "response" }],
    found: "2@0:2",
  },
  {
    name: "wrong bytes up to the last one, whose connection was cut afterwards",
    lines: [{ kind: "response", end: "cut", hash: other }],
    instead: [{ kind: "response", end: "cut", sent: 5, last: false, hash: other }],
    found: "2@0:2",
  },
  {
    name: "a range of everything that is not what its digest says",
    lines: [{ kind: "response", status: 206, hash: other }],
    instead: [{ kind: "response", status: 206 }],
    found: "2@0:2",
  },
  {
    name: "two ends of a blob that differ",
    lines: [
      { kind: "response", status: 206, first: 2, promised: 4, sent: 4, hash: digest },
      { kind: "response", status: 206, first: 2, promised: 4, sent: 4, hash: other },
    ],
    instead: [
      { kind: "response", status: 206, first: 2, promised: 4, sent: 4, hash: digest },
      { kind: "response", status: 206, first: 3, promised: 3, sent: 3, hash: other },
    ],
    found: "2@0:3",
  },
  {
    name: "a clean end before the promised one",
    lines: [{ kind: "response", sent: 5, last: false }],
    instead: [{ kind: "response", sent: 5, last: false, end: "cut" }],
    found: "2@0:2",
  },
  {
    name: "more bytes than promised",
    lines: [{ kind: "response", status: 206, first: 1, size: 6, promised: 2, sent: 3, last: false }],
    instead: [{ kind: "response", status: 206, first: 1, size: 6, promised: 3, sent: 3, last: false }],
    found: "2@0:2",
  },
  {
    name: "a request inside the time that a 429 asked for",
    lines: [
      { kind: "ask", request: "manifest_head" },
      { kind: "answer", status: 429, retryAfter: "30" },
      { kind: "ask", request: "manifest_head", n: 2, errand: 2, at: 31_000 },
    ],
    instead: [
      { kind: "ask", request: "manifest_head" },
      { kind: "answer", status: 429, retryAfter: "30" },
      { kind: "ask", request: "manifest_head", n: 2, errand: 2, at: 32_000 },
    ],
    found: "4@0:4",
  },
  {
    name: "a range of a blob inside the minute that a 429 without a time means",
    lines: [
      { kind: "ask" },
      { kind: "answer", status: 429 },
      { kind: "ask", request: "blob_range", n: 2, errand: 2, at: 61_000 },
    ],
    instead: [
      { kind: "ask" },
      { kind: "answer", status: 429 },
      { kind: "ask", request: "blob_range", n: 2, errand: 2, at: 61_000, lane: "another" },
    ],
    found: "4@0:4",
  },
  {
    name: "a request before the date that a 429 named",
    lines: [
      { kind: "ask" },
      { kind: "answer", status: 429, retryAfter: "Thu, 01 Jan 1970 00:00:20 GMT" },
      { kind: "ask", n: 2, errand: 2, at: 19_000 },
    ],
    instead: [
      { kind: "ask" },
      { kind: "answer", status: 429, retryAfter: "Thu, 01 Jan 1970 00:00:20 GMT" },
      { kind: "ask", n: 2, errand: 2, at: 20_000 },
    ],
    found: "4@0:4",
  },
  {
    name: "a HEAD of a client that costs a GET of a blob",
    lines: [{ kind: "ask", causeMethod: "HEAD", causeId: "r" }],
    instead: [{ kind: "ask", causeMethod: "HEAD", causeId: "r", request: "blob_range", range: "bytes=0-0" }],
    found: "4@0:2",
  },
  {
    name: "a HEAD of a client that costs a GET of a manifest, where HEAD tells everything",
    lines: [
      { kind: "ask", request: "manifest_head", reference: "1" },
      { kind: "answer" },
      { kind: "ask", request: "manifest_get", n: 2, errand: 2, causeMethod: "HEAD" },
    ],
    instead: [
      { kind: "ask", request: "manifest_head", reference: "1" },
      { kind: "answer", tells: ["type"] },
      { kind: "ask", request: "manifest_get", n: 2, errand: 2, causeMethod: "HEAD" },
    ],
    found: "4@0:4",
  },
  {
    name: "a GET by tag",
    lines: [{ kind: "ask", request: "manifest_get", reference: "1" }],
    instead: [
      { kind: "ask", request: "manifest_head", reference: "1" },
      { kind: "answer", status: 405 },
      { kind: "ask", request: "manifest_get", reference: "1", n: 2, errand: 2 },
    ],
    found: "4@0:2",
  },
  {
    name: "linked bytes without a link",
    lines: [linked],
    instead: [{ kind: "link" }, linked],
    found: "7@0:2",
  },
  {
    name: "linked bytes by the link of another repository",
    lines: [{ kind: "link", repository: "library/else" }, linked],
    instead: [{ kind: "link" }, linked],
    found: "7@0:3",
  },
  {
    name: "linked bytes before their link",
    lines: [linked, { kind: "link", at: 60_000 }],
    instead: [linked, { kind: "link", at: 2_000 }],
    found: "7@0:2",
  },
  {
    name: "bytes of which it is not told whose they are",
    lines: [{ kind: "response", access: undefined as never }],
    instead: [{ kind: "response" }],
    found: "7@0:2",
  },
  {
    name: "credentials to where a registry redirects",
    lines: [{ kind: "ask", credentials: true, hop: 1, origin: "https://cdn.example" }],
    instead: [{ kind: "ask", credentials: false, hop: 1, origin: "https://cdn.example" }],
    found: "8@0:2",
  },
  {
    name: "a registry's credentials to a token server of its own, for a blob",
    lines: [{ kind: "ask", credentials: true, origin: "https://auth.docker.io" }],
    instead: [{ kind: "ask", credentials: true, origin: "https://auth.docker.io", request: "token" }],
    found: "8@0:2",
  },
  {
    name: "a token asked for at a stranger's, even by nobody",
    lines: [{ kind: "ask", request: "token", origin: "https://evil.example" }],
    instead: [{ kind: "ask", request: "token" }],
    found: "8@0:2",
  },
  ...["Bearer abcdefgh0123", "eyJhbGciOiJI.eyJzdWIiOi", "/x?X-Amz-Signature=1", "https://u:p@host/"].map((text) => ({
    name: `a ledger that holds ${text}`,
    lines: [{ kind: "response", reference: text } as const],
    instead: [{ kind: "response" } as const],
    found: "8@0:2",
  })),
];

for (const { name, lines, instead, found } of broken) {
  test(`${name} is found, and what is right beside it is not`, async (t) => {
    assert.deepEqual(placesOf(await check(t, { lines })), [found]);
    assert.deepEqual(placesOf(await check(t, { lines: instead })), []);
  });
}

test("a rule tells how much it has looked at, so that one that saw nothing proves nothing", async (t) => {
  const checkedBy = async (...lines: readonly Sketch[]): Promise<readonly number[]> =>
    (await check(t, { lines })).rules.map(({ checked }) => checked);
  const none = await checkedBy();
  const some = await checkedBy(
    { kind: "link" },
    linked,
    { kind: "ask", credentials: true },
    { kind: "answer" },
    { kind: "ask", request: "manifest_get", n: 2, errand: 2 },
    { kind: "answer", n: 2 },
  );
  // Two lines, the first and the last, are always looked through for secrets.
  assert.deepEqual(none, [0, 0, 0, 0, 0, 0, 0, 0, 2]);
  assert.ok(
    some.every((count, at) => count > (none[at] ?? 0)),
    String(some),
  );
});
