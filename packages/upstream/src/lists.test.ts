import assert from "node:assert/strict";
import { test } from "node:test";

import { digest, failsAs, hubRig, library, rigFor, scripted } from "./test-rig.ts";

const subject = digest(`sha256:${"a".repeat(64)}`);

test("tags come in pages as upstream makes them, until there is no next", async (t) => {
  for (const linkForm of ["relative", "absolute"] as const) {
    const { hub, rig } = await hubRig(t, { hub: { linkForm } });
    for (const name of ["1", "2", "3", "4", "5"])
      hub.content.addImage({ repository: library.name, tag: name, layers: [] });
    const pages: unknown[] = [];
    let query: string | undefined = "n=2";
    while (query !== undefined) {
      const page: Awaited<ReturnType<typeof rig.lists.tags>> = await rig.lists.tags(library, query);
      assert.deepEqual(
        Object.keys(page).filter((key) => key !== "next"),
        ["lane", "body"],
      );
      pages.push(page.body["tags"]);
      query = page.next;
    }
    assert.deepEqual(pages, [["1", "2"], ["3", "4"], ["5"]]);
  }
});

test("referrers of all pages come as one index", async (t) => {
  const { hub, rig } = await hubRig(t, { hub: { referrersPageMax: 2 } });
  const image = hub.content.addImage({ repository: library.name, layers: [] });
  for (let index = 0; index < 5; index += 1)
    hub.content.addReferrer({ repository: library.name, subject: image, artifactType: `application/x.${index}` });
  const { body, next } = await rig.lists.referrers(library, digest(image.digest));
  assert.deepEqual([body["schemaVersion"], (body["manifests"] as unknown[]).length, next], [2, 5, undefined]);
  assert.equal(rig.count("referrers"), 3);
});

test("no referrers is an empty index; no such API is unsupported", async (t) => {
  const { hub, rig } = await hubRig(t);
  hub.content.addRepository({ repository: library.name });
  assert.deepEqual((await rig.lists.referrers(library, subject)).body["manifests"], []);
  hub.knobs.referrers = false;
  await assert.rejects(rig.lists.referrers(library, subject), failsAs("unsupported"));
});

test("the list of a repository that is not there is missing", async (t) => {
  const { rig } = await hubRig(t);
  await assert.rejects(rig.lists.tags(library, ""), failsAs("missing", "refused"));
});

test("what is no list, or too long a one, is refused", async (t) => {
  const answers: [string, Parameters<typeof failsAs>[0]][] = [
    ["<html>", "unavailable"],
    ["[]", "unavailable"],
    ["null", "unavailable"],
    [`{"tags":["${"x".repeat(5_000_000)}"]}`, "too_large"],
  ];
  for (const [body, code] of answers) {
    const server = await scripted(t, (request, response) => response.end(request.url === "/v2/" ? "" : body));
    const rig = rigFor(t, server.url);
    await assert.rejects(rig.lists.tags(library, ""), failsAs(code));
  }
});

test("pages without end are too large, wherever their links point", async (t) => {
  let page = 0;
  const server = await scripted(t, (request, response) => {
    if (request.url === "/v2/") return response.end();
    response.setHeader("link", `<http://evil.example/v2/x?page=${(page += 1)}&ns=evil>; rel="next"`);
    return response.end('{"schemaVersion":2,"manifests":[{}]}');
  });
  const rig = rigFor(t, server.url);
  await assert.rejects(rig.lists.referrers(library, subject), failsAs("too_large"));
  assert.equal(rig.count("referrers"), 100);
  assert.equal(server.requests.at(-1)?.url, `/v2/library/alpine/referrers/${subject}?page=99`);
});

test("a query that is too long is not sent", async (t) => {
  const { hub, rig } = await hubRig(t);
  await assert.rejects(rig.lists.tags(library, `last=${"x".repeat(5000)}`), failsAs("unsupported"));
  assert.equal(hub.ledger.count(), 0);
});
