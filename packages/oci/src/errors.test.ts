import assert from "node:assert/strict";
import { test } from "node:test";

import { errorBody } from "./errors.ts";

test("an error body is the spec's, with detail only where there is one", () => {
  assert.deepEqual(JSON.parse(errorBody("BLOB_UNKNOWN", "gone")), {
    errors: [{ code: "BLOB_UNKNOWN", message: "gone" }],
  });
  assert.deepEqual(JSON.parse(errorBody("DENIED", "no", { Name: "a" })).errors[0].detail, { Name: "a" });
});
