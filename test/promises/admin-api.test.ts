import assert from "node:assert/strict";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";

import { ask, eventually, type Hub, startHub } from "@pullring/testkit";
import * as z from "zod";

import { run } from "../../packages/cli/src/run.ts";
import { asDockerHub, type Pullring, startPullring } from "../real/pullring.ts";

type Json = Readonly<Record<string, unknown>>;

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly requestBody?: unknown;
  readonly responses: Readonly<
    Record<string, { readonly content: Readonly<Record<string, { readonly schema: Json }>> }>
  >;
  readonly security?: readonly unknown[];
}

interface Call {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

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

  async function calls(): Promise<Call[]> {
    const { body } = await call("GET", "/admin/v1/openapi.json");
    const { paths } = JSON.parse(body.toString()) as { paths: Record<string, Record<string, Operation>> };
    return Object.entries(paths).flatMap(([path, operations]) =>
      Object.entries(operations).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
    );
  }

  /** Events until the signal ends them, and whether the answer came to its end. */
  async function listen(signal: AbortSignal): Promise<{ events: Json[]; done: Promise<boolean> }> {
    const response = await fetch(`${node.adminUrl}/admin/v1/events`, { headers: bearer(), signal });
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    const events: Json[] = [];
    const read = async (): Promise<boolean> => {
      let text = "";
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        text += Buffer.from(chunk).toString();
        const whole = text.split("\n\n");
        text = whole.pop() ?? "";
        for (const each of whole) events.push(JSON.parse(/^data: (.*)$/m.exec(each)?.[1] ?? "") as Json);
      }
      return true;
    };
    return { events, done: read().catch(() => false) };
  }

  test("a warm brings one platform of an image as a client's pull would, tells each step, and finds all of it the next time", async () => {
    const ended = new AbortController();
    const { events } = await listen(ended.signal);
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

  /** What stands for the parameters and bodies of every call that has some. */
  const samples: Readonly<Record<string, string>> = { digest: "", image, key: image, node: "self", limit: "5" };
  const bodies: Readonly<Record<string, Json>> = {
    "POST /admin/v1/ring/preview": { add: [{ id: "n2", weight: 1 }] },
    "POST /admin/v1/warm": { images: [image], platforms: ["linux/arm64"] },
  };

  test("every documented call answers as the document says, and there is no other", async () => {
    const documented = await calls();
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
    // What removes comes last: there must be something to tell of.
    const inOrder = documented.toSorted((a, b) => Number(a.method === "DELETE") - Number(b.method === "DELETE"));
    for (const each of inOrder) await checkAnswer(each);
  });

  async function checkAnswer({ method, path, operation }: Call): Promise<void> {
    const what = `${method} ${path}`;
    const value = (name: string): string => encodeURIComponent(name === "digest" ? layer : (samples[name] ?? ""));
    const query = (operation.parameters ?? []).filter((each) => each.in === "query" && value(each.name) !== "");
    const target = path.replace(/\{(\w+)\}/g, (_, name: string) => value(name));
    const search = query.map(({ name }) => `${name}=${value(name)}`).join("&");
    const [type = ""] = Object.keys(operation.responses["200"]?.content ?? {});
    const schemaOf = (status: string, as: string): z.ZodType =>
      z.fromJSONSchema(operation.responses[status]?.content[as]?.schema as Parameters<typeof z.fromJSONSchema>[0]);
    if (type === "text/event-stream") {
      const ended = new AbortController();
      const { events } = await listen(ended.signal);
      await eventually(() => events.length >= 2);
      ended.abort();
      for (const event of events) assert.deepEqual(schemaOf("200", type).parse(event), event, what);
      return;
    }
    const answer = await call(method, search === "" ? target : `${target}?${search}`, bodies[what]);
    // A node that is alone has nothing to leave.
    const status = path.endsWith("/drain") ? 409 : 200;
    const as = status === 200 ? type : "application/problem+json";
    assert.deepEqual(
      [answer.status, answer.headers["content-type"]],
      [status, as],
      `${what}: ${answer.body.toString()}`,
    );
    const texts = as === "application/x-ndjson" ? answer.body.toString().trim().split("\n") : [answer.body.toString()];
    for (const text of texts) {
      const document = JSON.parse(text) as unknown;
      assert.deepEqual(schemaOf(status === 200 ? "200" : "default", as).parse(document), document, what);
    }
  }

  test("every documented call that needs the token is refused without it, by a problem document, and changes nothing", async () => {
    const guarded = (await calls()).filter(({ operation }) => operation.security);
    assert.equal(guarded.length, 5);
    for (const { method, path } of guarded) {
      const target = path.replace("{digest}", layer).replace("{image}", image);
      for (const headers of [{}, { authorization: "Bearer wrong" }, { ...bearer(), host: "evil.example" }]) {
        const { status, headers: told } = await call(method, target, bodies[`${method} ${path}`], headers);
        // Ten wrong tokens in a minute are the end of it: half of them are used up here.
        assert.ok(status === 401 || status === 403, `${method} ${path}: ${status}`);
        assert.equal(told["content-type"], "application/problem+json");
      }
    }
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
    const { events, done } = await listen(new AbortController().signal);
    await eventually(() => events.length > 0);
    const stopping = node.stop();
    assert.equal(await done, true);
    await stopping;
    assert.ok(events.some(({ kind, draining }) => kind === "drain" && draining === true));
  });
});
