import assert from "node:assert/strict";
import { test } from "node:test";
import { ask } from "../ask.ts";
import { clientOf, hubFor, signedUrl } from "./test-client.ts";

const repository = "library/alpine";

test("every request is told by origin, kind, name and outcome", async (t) => {
  const hub = await hubFor(t, { redirectCdn: 0 });
  const image = hub.content.addImage({ repository, tag: "3", layers: [50] });
  const blob = image.layers[0]?.digest ?? "";
  const client = await clientOf(hub, repository);
  await ask(`${hub.url}/v2/`);
  await client.head("manifests/3");
  await client.get("manifests/3");
  await client.get(`blobs/${blob}`, { headers: { range: "bytes=0-1" } });
  await client.head(`blobs/${blob}`);
  await client.get("tags/list?n=1");
  await client.get(`referrers/${image.digest}`);
  await ask(await signedUrl(hub, repository, blob), { headers: { range: "bytes=0-1" } });
  await ask(`${hub.url}/v2/_catalog`);
  const rows = hub.ledger.entries.map(({ origin, kind, status, reference, authorization }) =>
    [origin, kind, status, reference, authorization].filter((field) => field !== undefined).join(" "),
  );
  assert.deepEqual(rows, [
    "token token 200",
    "registry ping 401",
    "registry manifest_head 200 3 bearer",
    "registry manifest_get 200 3 bearer",
    `registry blob_range 307 ${blob} bearer`,
    `registry blob_head 307 ${blob} bearer`,
    "registry tags 200 bearer",
    `registry referrers 200 ${image.digest} bearer`,
    "token token 200",
    `registry blob_get 307 ${blob} bearer`,
    `cdn0 cdn_range 206 ${blob}`,
    "registry other 401",
  ]);
  const range = await hub.ledger.until({ kind: "cdn_range" });
  assert.deepEqual([range.range, range.bytesSent, range.repository], ["bytes=0-1", 2, repository]);
  assert.equal(range.remoteAddress, "127.0.0.1");
  assert.equal((await hub.ledger.until({ kind: "tags" })).query, "n=1");
});

test("a query asks for equal fields, a list for one of them, a function for anything", async (t) => {
  const hub = await hubFor(t);
  hub.content.addImage({ repository, tag: "3", layers: [] });
  const client = await clientOf(hub, repository);
  await client.get("manifests/3");
  await client.get("manifests/4");
  const { ledger } = hub;
  assert.equal(ledger.count(), 3);
  assert.equal(ledger.count({ kind: "manifest_get" }), 2);
  assert.equal(ledger.count({ kind: ["manifest_get", "token"], status: 200 }), 2);
  assert.equal(
    ledger.count(({ bytesSent }) => bytesSent > 0),
    3,
  );
  ledger.clear();
  assert.equal(ledger.count(), 0);
});

test("one can wait for a request, past or to come, or give up", async (t) => {
  const hub = await hubFor(t);
  const later = hub.ledger.until({ kind: "ping", status: 401 });
  await ask(`${hub.url}/v2/`);
  assert.equal(await later, await hub.ledger.until({ kind: "ping" }));
  const gaveUp = hub.ledger.until({ kind: "tags" }, AbortSignal.abort(new Error("enough")));
  await assert.rejects(gaveUp, /enough/);
});
