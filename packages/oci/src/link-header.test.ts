import assert from "node:assert/strict";
import { test } from "node:test";

import { nextLink } from "./link-header.ts";

test("the next link is found among others, quoted or not", () => {
  assert.equal(nextLink('</v2/a/tags/list?n=2&last=b>; rel="next"'), "/v2/a/tags/list?n=2&last=b");
  assert.equal(nextLink('<https://h/x>; rel=prev, <https://h/y,z>; title="t"; rel=next'), "https://h/y,z");
});

test("no next link is no page", () => {
  for (const header of [undefined, "", '<x>; rel="prev"', 'rel="next"']) assert.equal(nextLink(header), undefined);
});
