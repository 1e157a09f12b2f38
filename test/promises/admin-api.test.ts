import assert from "node:assert/strict";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";

import { ask, eventually, type Hub, startHub } from "@pullring/testkit";

import { run } from "../../packages/cli/src/run.ts";
import { asDockerHub, type Pullring, startPullring } from "../real/pullring.ts";
import { type AdminAt, assertDocumented, documentedCalls, listen, makeCall, type Samples } from "./documented-calls.ts";

type Json = Readonly<Record<string, unknown>>;

const repository = "acme/app";
const image = `docker.io/${repository}:1`;

suite("the admin API of a running node", { timeout: 180_000 }, () => {
  const parts = new AsyncDisposableStack();
  let hub: Hub;
  let node: Pullring;
  let tokenFile: string;
  let token = "first-token";
  let layer = "";

  before(
    async () => {
      const dir = parts.use(await mkdtempDisposable(join(tmpdir(), "pullring-admin-"))).path;
      hub = await startHub({ responseBytesPerSec: 4_000_000 });
      parts.defer(() => hub.close());
      const platforms = ["linux/amd64", "linux/arm64"];
      hub.content.addIndex({ repository, tag: "1", platforms, attestation: true, layers: [2_000_000, 50_000] });
      ({ digest: layer } = hub.content.addBlob({ repository, size: 1_000 }));
      tokenFile = join(dir, "token");
      await writeFile(tokenFile, `${token}\n`);
      const config = { node: { id: "n1" }, upstreams: asDockerHub(hub), admin: { tokenFile } };
      node = parts.use(await startPullring({ dir, config }));
    },
    { timeout: 90_000 },
  );
  after(() => parts.disposeAsync());

  const bearer = () => ({ authorization: `Bearer ${token}` });

  function call(method: string, path: string, body?: Json, headers: Record<string, string> = bearer()) {
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    const more = body === undefined ? headers : { ...headers, "content-type": "application/json" };
    return ask(`${node.adminUrl}${path}`, { method, headers: more, ...json });
  }

  async function linesOf(images: readonly string[], platforms: readonly string[]): Promise<Json[]> {
    const { status, body } = await call("POST", "/admin/v1/warm", { images, platforms });
    assert.equal(status, 200, body.toString());
    return body
      .toString()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Json);
  }

  const admin = (headers: Readonly<Record<string, string>> = bearer()): AdminAt => ({
    adminUrl: node.adminUrl,
    headers,
  });

  test("a warm brings one platform of an image as a client's pull would, tells each step, and finds all of it the next time", async () => {
    const ended = new AbortController();
    const { events } = await listen(admin(), ended.signal);
    const steps = await linesOf([image], ["linux/arm64"]);
    const { blobs, manifests, failed } = steps.at(-1) as { blobs: Json; manifests: Json; failed: number };
    assert.deepEqual(
      [failed, manifests, blobs],
      [0, { held: 0, fetched: 2, failed: 0 }, { held: 0, fetched: 3, failed: 0 }],
    );
    assert.deepEqual(
      steps.flatMap(({ step, platform }) => (step === "manifest" ? [platform] : [])),
      [null, "linux/arm64"],
    );
    const again = (await linesOf([image], ["linux/arm64"])).at(-1) as { blobs: Json };
    assert.deepEqual(again.blobs, { held: 3, fetched: 0, failed: 0 });
    assert.deepEqual(
      [hub.ledger.count({ repository, kind: "manifest_get" }), hub.ledger.count({ repository, kind: ["blob_get"] })],
      [2, 3],
    );
    await eventually(() => events.some(({ kind }) => kind === "fill_ended"));
    for (const kind of ["ring", "counters", "fill_started"])
      assert.ok(
        events.some((event) => event["kind"] === kind && event["node"] === "n1"),
        kind,
      );
    ended.abort();
  });

  test("whoever leaves a warm ends it, and no reader of it is left", async () => {
    const slow = "acme/slow";
    hub.content.addImage({ repository: slow, tag: "1", layers: [60_000_000] });
    const left = new AbortController();
    const headers = { ...bearer(), "content-type": "application/json" };
    const body = JSON.stringify({ images: [`${slow}:1`] });
    const options = { method: "POST", headers, body, signal: left.signal };
    const response = await fetch(`${node.adminUrl}/admin/v1/warm`, options);
    assert.equal(response.status, 200);
    let told = "";
    const read = async (): Promise<void> => {
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>)
        told += Buffer.from(chunk).toString();
    };
    const reading = read().catch(() => {});
    const fills = async (): Promise<readonly { readonly repository: string; readonly readers: number }[]> => {
      const answer = await call("GET", "/admin/v1/fills");
      return (JSON.parse(answer.body.toString()) as { fills: { repository: string; readers: number }[] }).fills;
    };
    const isRead = async (): Promise<boolean> =>
      (await fills()).some(({ repository: of, readers }) => of.endsWith(slow) && readers > 0);
    await eventually(() => told.includes('"step":"progress"'), { timeoutMs: 20_000 });
    assert.ok(await isRead());
    left.abort();
    await reading;
    assert.doesNotMatch(told, /"step":"summary"/);
    await eventually(async () => !(await isRead()), { timeoutMs: 20_000 });
  });

  const samples = (): Samples => ({
    parameters: { digest: layer, image, key: image, node: "self", limit: "5" },
    bodies: {
      "POST /admin/v1/ring/preview": { add: [{ id: "n2", weight: 1 }] },
      "POST /admin/v1/warm": { images: [image], platforms: ["linux/arm64"] },
    },
  });

  test("every documented call answers as the document says, and there is no other", async () => {
    const documented = await documentedCalls(admin());
    const named = documented.map(({ method, path }) => `${method} ${path.replace("/admin/v1", "")}`).sort();
    assert.deepEqual(named, [
      "DELETE /blobs/{digest}",
      "DELETE /images/{image}",
      "DELETE /nodes/self/drain",
      "GET /blobs/{digest}",
      "GET /cache",
      "GET /config",
      "GET /events",
      "GET /fills",
      "GET /images",
      "GET /openapi.json",
      "GET /quota",
      "GET /ring",
      "GET /ring/owner",
      "POST /nodes/self/drain",
      "POST /ring/preview",
      "POST /warm",
    ]);
    // A node that is alone has nothing to leave.
    for (const each of documented)
      await assertDocumented(admin(), each, samples(), each.path.endsWith("/drain") ? 409 : 200);
  });

  test("every documented call that needs the token is refused without it, by a problem document, and changes nothing", async () => {
    const guarded = (await documentedCalls(admin())).filter(({ operation }) => operation.security);
    assert.equal(guarded.length, 5);
    assert.equal((await ask(`${node.url}/v2/${repository}/blobs/${layer}`)).status, 200);
    for (const each of guarded) {
      for (const headers of [{}, { authorization: "Bearer wrong" }]) {
        const { status, headers: told } = await makeCall(admin(headers), each, samples());
        // Ten wrong tokens in a minute are the end of it: half of them are used up here.
        assert.equal(status, 401, `${each.method} ${each.path}`);
        assert.equal(told["content-type"], "application/problem+json");
      }
    }
    const { body } = await call("GET", `/admin/v1/blobs/${layer}`);
    const { nodes } = JSON.parse(body.toString()) as { nodes: { disk: boolean }[] };
    assert.ok(nodes[0]?.disk, body.toString());
  });

  test("every documented call is refused to whoever is relayed without the token, or comes by a foreign name with it; health and metrics are for all", async () => {
    const relayed = [{ "x-forwarded-for": "10.0.0.9" }, { forwarded: "for=10.0.0.9" }, { via: "1.1 proxy" }];
    const foreign = [{ host: "evil.example" }, { origin: "https://evil.example" }];
    for (const each of await documentedCalls(admin())) {
      const statusOf = async (headers: Readonly<Record<string, string>>): Promise<number> =>
        (await makeCall(admin(headers), each, samples())).status;
      for (const headers of relayed) assert.equal(await statusOf(headers), 401, `${each.method} ${each.path}`);
      for (const headers of foreign)
        assert.equal(await statusOf({ ...bearer(), ...headers }), 403, `${each.method} ${each.path}`);
    }
    for (const path of ["/livez", "/readyz", "/metrics"])
      for (const headers of [{}, ...relayed, ...foreign])
        assert.equal((await ask(`${node.adminUrl}${path}`, { headers })).status, 200, path);
  });

  test("the command line asks and warms by the same calls", async () => {
    const pullring = async (...args: string[]): Promise<{ code: number; out: string }> => {
      let out = "";
      const options = ["--admin", node.adminUrl, "--token-file", tokenFile];
      const code = await run([...args, ...options], { out: (text) => void (out += text), err: () => {} });
      return { code, out };
    };
    const warmed = await pullring("warm", image, "--platform", "linux/amd64");
    assert.equal(warmed.code, 0, warmed.out);
    assert.match(warmed.out, /blobs came/);
    assert.match((await pullring("images", "--match", repository)).out, new RegExp(`^${image} +n1 `, "m"));
    assert.match((await pullring("cache")).out, /^n1 +disk /m);
    assert.match((await pullring("config")).out, /^ {2}tokenFile: /m);
  });

  test("a changed token file counts soon, and the old token no more", async () => {
    await writeFile(tokenFile, "second-token\n");
    const statusWith = async (each: string): Promise<number> =>
      (await call("DELETE", `/admin/v1/blobs/${layer}`, undefined, { authorization: `Bearer ${each}` })).status;
    // Its wrong answers are few: a file is looked at once in a while, and guesses are counted.
    await eventually(async () => (await statusWith("second-token")) === 200, { timeoutMs: 20_000, intervalMs: 4_000 });
    assert.equal(await statusWith("first-token"), 401);
    token = "second-token";
  });

  test("listeners get a clean end when the node stops", async () => {
    const { events, done } = await listen(admin(), new AbortController().signal);
    await eventually(() => events.length > 0);
    const stopping = node.stop();
    assert.equal(await done, true);
    await stopping;
    assert.ok(events.some(({ kind, draining }) => kind === "drain" && draining === true));
  });
});
