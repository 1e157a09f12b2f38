import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";

import { ask, eventually, type ImageDescriptor, mediaTypes } from "@pullring/testkit";

import { sealRequest } from "../../packages/cluster/src/peer/seal.ts";
import { needsCluster } from "../real/cluster.ts";
import type { ClusterNode } from "../real/cluster-node.ts";
import { type Pulled, pull } from "../real/http.ts";
import {
  asClient,
  askRedis,
  evilBytes,
  secrets,
  startStranger,
  startStrangersRig,
  type StrangersRig,
} from "./strangers-rig.ts";

const accept = [mediaTypes.ociIndex, mediaTypes.ociManifest].join(", ");
const requestHeader = "pullring-peer-request";
const macHeader = "pullring-peer-mac";

/** A secret's text, in hex, and what of it is in base64 whatever stands before and behind it. */
function formsOf(secret: string): readonly string[] {
  const coded = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)]).toString("base64");
    // The characters that only this text decides.
    return text.slice(before === 0 ? 0 : before + 1, Math.floor(((before + secret.length) * 8) / 6));
  });
  return [secret, Buffer.from(secret).toString("hex"), ...coded];
}

function assertNoSecret(where: string, text: string, known: readonly string[]): void {
  for (const secret of known)
    for (const form of formsOf(secret)) assert.equal(text.includes(form), false, `${where} holds ${secret} as ${form}`);
}

interface Seen {
  readonly method: string;
  readonly target: string;
  readonly headers: Record<string, string>;
}

/** Requests without a body in what was recorded. */
function requestsIn(recorded: string): readonly Seen[] {
  const heads = recorded.split("\r\n\r\n").filter((head) => /^(?:GET|HEAD) \/peer\//.test(head));
  return heads.map((head) => {
    const [line = "", ...fields] = head.split("\r\n");
    const [method = "", target = ""] = line.split(" ");
    const headers = fields.map((field) => {
      const colon = field.indexOf(":");
      return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()] as const;
    });
    return { method, target, headers: Object.fromEntries(headers) };
  });
}

interface Told {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Buffer;
}

/** Sends it as it was, or as somebody changed it. */
function send(node: ClusterNode, { method, target, headers }: Seen): Promise<Told> {
  const [host, port] = node.peerHost.split(":");
  const { promise, resolve, reject } = Promise.withResolvers<Told>();
  const outgoing = httpRequest({ host, port, method, path: target, headers, agent: false }, (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk));
    response.on("error", reject);
    response.on("end", () =>
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
    );
  });
  outgoing.on("error", reject).end();
  return promise;
}

/** Whoever holds the secret signed that request, so it may be told why it is refused: wrong node, or wrong time. */
function assertRefusalOnly(headers: Told["headers"], what: string): void {
  const text = headers["pullring-peer-answer"];
  if (text === undefined) return;
  const { refusal, ...facts } = JSON.parse(String(text)) as Record<string, unknown>;
  assert.ok(["clock", "node", "host"].includes(String(refusal)), `${what}: ${String(refusal)}`);
  assert.deepEqual(Object.keys(facts).sort(), ["boot", "epoch", "from", "timeMs"], what);
}

suite("a cluster among strangers", { skip: needsCluster(), timeout: 120_000 }, () => {
  let rig: StrangersRig;
  before(async () => void (rig = await startStrangersRig()), { timeout: 60_000 });
  after(() => rig[Symbol.asyncDispose]());

  const nodes = (): readonly ClusterNode[] => rig.cluster.nodes;
  let made = 0;
  const addImage = (prefix: "acme" | "open"): { repository: string; image: ImageDescriptor } => {
    const repository = `${prefix}/app-${(made += 1)}`;
    const layers = [1_000, 400_000];
    return {
      repository,
      image: rig.hub.content.addImage({ repository, tag: "1", layers, private: prefix === "acme" }),
    };
  };

  async function pullRight(base: string, path: string, digest: string): Promise<Pulled> {
    const answer = await pull(base + path, { headers: { ...asClient, accept } });
    assert.deepEqual([answer.status, answer.digest], [200, digest], `${path} ${answer.head.toString().slice(0, 200)}`);
    return answer;
  }

  async function pullImage(base: string, { repository, image }: ReturnType<typeof addImage>): Promise<void> {
    await pullRight(base, `/v2/${repository}/manifests/1`, image.digest);
    for (const { digest } of [image.config, ...image.layers])
      await pullRight(base, `/v2/${repository}/blobs/${digest}`, digest);
  }

  /** New images, private and public, right from every node. */
  async function pullsGoOn(): Promise<void> {
    const images = [addImage("acme"), addImage("open")];
    await Promise.all(images.flatMap((each) => nodes().map(({ url }) => pullImage(url, each))));
  }

  const recordedBytes = (): string =>
    rig.recorders
      .flatMap(({ recordings }) => recordings.flatMap(({ requests, answers }) => [...requests, ...answers]))
      .map((chunk) => chunk.toString("latin1"))
      .join("");

  /** Bearer tokens that upstream gave out are secrets too. */
  const allSecrets = (): readonly string[] => {
    const given = rig.hub.ledger.entries.map(({ headers }) => headers.authorization?.replace(/^\w+ /, "") ?? "");
    return [...Object.values(secrets), ...new Set(given.filter((token) => token !== ""))];
  };

  /** Listened to all the time. */
  const stream = "/admin/v1/events";

  /** Whatever the admin listener says without being asked to change anything. */
  async function adminAnswers({ adminUrl }: ClusterNode): Promise<string> {
    const { body } = await ask(`${adminUrl}/admin/v1/openapi.json`);
    const { paths } = JSON.parse(body.toString()) as { paths: Record<string, object> };
    const told = Object.keys(paths).filter(
      (path) => "get" in (paths[path] ?? {}) && !path.includes("{") && path !== stream,
    );
    assert.ok(told.includes("/admin/v1/config"), told.join());
    const targets = [...told, "/metrics", "/readyz", "/admin/v1/ring/owner?key=docker.io/library/alpine:3"];
    const answers = await Promise.all(targets.map((target) => ask(adminUrl + target)));
    return answers.map((answer) => JSON.stringify(answer.headers) + answer.body.toString()).join("\n");
  }

  async function filesOf({ pullring }: ClusterNode): Promise<string> {
    const found = await readdir(pullring.disk, { recursive: true, withFileTypes: true });
    const files = found.filter((entry) => entry.isFile());
    assert.ok(files.length > 5);
    const read = files.map(
      async ({ parentPath, name }) => `${name}\n${await readFile(join(parentPath, name), "latin1")}`,
    );
    return (await Promise.all(read)).join("\n");
  }

  async function assertNothingTold(): Promise<void> {
    const known = allSecrets();
    assert.ok(known.length > Object.keys(secrets).length, "upstream gave out no token");
    for (const node of nodes()) {
      assertNoSecret(`the log of ${node.id}`, node.pullring.logs(), known);
      assertNoSecret(`the admin listener of ${node.id}`, await adminAnswers(node), known);
      assertNoSecret(`the disk of ${node.id}`, await filesOf(node), known);
    }
    for (const told of rig.events) assertNoSecret("the stream of events", told(), known);
    assertNoSecret("Redis", rig.monitored(), known);
    assertNoSecret("the wire between nodes", recordedBytes(), known);
    const requests = rig.s3.requests.map(({ target, headers }) => target + JSON.stringify(headers)).join("\n");
    assertNoSecret("S3's requests", requests, known);
    for (const { bytes, metadata } of rig.s3.objects.values())
      assertNoSecret("an object in S3", bytes.toString("latin1") + JSON.stringify(metadata), known);
  }

  test("tells no secret: not in Redis, S3, logs, metrics, admin answers, on its disks or between its nodes", async () => {
    const images = [addImage("acme"), addImage("open"), addImage("acme")];
    for (const each of images) for (const { url } of nodes()) await pullImage(url, each);
    const [first] = nodes();
    assert.ok(first);
    // What goes wrong is logged too.
    const wrong = { authorization: `Basic ${Buffer.from(`ci:${secrets.admin}`).toString("base64")}` };
    assert.equal((await ask(`${first.url}/v2/`, { headers: wrong })).status, 401);
    const refused = await ask(`${first.adminUrl}/admin/v1/nodes/self/drain`, {
      method: "POST",
      headers: { authorization: `Bearer ${secrets.client}` },
    });
    assert.equal(refused.status, 401);
    const purged = await ask(`${first.adminUrl}/admin/v1/images/docker.io/${images[2]?.repository}:1`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${secrets.admin}` },
    });
    assert.equal(purged.status, 200, purged.body.toString());
    await eventually(() => [...rig.s3.objects.keys()].some((key) => key.startsWith("v1/blobs/")), {
      timeoutMs: 20_000,
    });
    // Else nothing was listened to.
    const told = recordedBytes() + rig.monitored() + rig.events.map((each) => each()).join("");
    assert.ok(rig.events.every((each) => each().includes("event:")));
    for (const sign of ["/peer/v1/get/blobs/", "/peer/v1/purge", encodeURIComponent("acme/app-1"), '"evalsha"'])
      assert.ok(told.includes(sign), sign);
    for (const form of formsOf("acme/app-1")) assert.ok(form.length > 6);
    await assertNothingTold();
  });

  test("refuses at its peer port who is a stranger, and whoever repeats or changes what a peer said", async () => {
    const seen = rig.recorders.flatMap(({ recordings }, receiver) =>
      recordings.flatMap(({ requests }) =>
        requestsIn(Buffer.concat(requests).toString("latin1")).map((request) => ({ request, receiver })),
      ),
    );
    const blobs = seen.filter(({ request }) => request.target.includes("/blobs/"));
    assert.ok(blobs.length >= 3, `${blobs.length} recorded`);
    const layer = addImage("acme").image.layers[1]?.digest ?? "";
    const nothing = async (what: string, node: ClusterNode, request: Seen, isStranger = true): Promise<void> => {
      const { status, headers, body } = await send(node, request);
      assert.ok(status >= 400 && status < 500, `${what}: ${status}`);
      assert.equal(body.length, 0, what);
      if (!isStranger) return assertRefusalOnly(headers, what);
      assert.equal(status, 401, what);
      assert.deepEqual(Object.keys(headers).sort(), ["connection", "content-length", "date"], what);
    };
    const received = rig.hub.ledger.count();
    for (const { request, receiver } of blobs.slice(0, 12)) {
      const [node, other] = [nodes()[receiver], nodes()[(receiver + 1) % 3]];
      assert.ok(node && other);
      const { [requestHeader]: facts = "", [macHeader]: _, ...plain } = request.headers;
      const with_ = (headers: Record<string, string>): Seen => ({ ...request, headers });
      await nothing("again", node, request, false);
      await nothing("unsigned", node, with_(plain));
      await nothing("half signed", node, with_({ ...plain, [requestHeader]: facts }));
      await nothing("with another target", node, {
        ...request,
        target: request.target.replace(/sha256:[0-9a-f]+/, layer),
      });
      await nothing("with another range", node, with_({ ...request.headers, range: "bytes=7-" }));
      const mac = sealRequest("a secret that I made up", {
        method: request.method,
        target: request.target,
        range: undefined,
        body: "",
        facts: facts.replace(/"nonce":"[^"]*"/, `"nonce":"${randomBytes(12).toString("base64url")}"`),
      });
      await nothing("under another secret", node, with_({ ...plain, [requestHeader]: facts, [macHeader]: mac }));
      await nothing("at another node", other, request, false);
    }
    assert.equal(rig.hub.ledger.count(), received, "upstream was asked for a stranger");
  });

  test("gives no byte and no secret to whoever writes to its Redis, nor believes him a tag", async () => {
    await using stack = new AsyncDisposableStack();
    // One where peers may be, one where they may not.
    const [allowed, elsewhere] = [await startStranger("127.0.0.1", stack), await startStranger("127.0.0.2", stack)];
    const redis = (...words: readonly string[]): Promise<string> => askRedis(rig.redisPort, ...words);
    const key = (name: string): string => `pullring:${name}`;
    const nowMs = (ageMs = 0): string => String(Date.now() - ageMs);
    const kept = [addImage("acme"), addImage("open")];
    const keptStays = async (): Promise<void> => {
      await Promise.all(kept.flatMap((each) => nodes().map(({ url }) => pullImage(url, each))));
    };
    await keptStays();

    const document = (id: string, url: string, state = "active"): string => {
      const incarnation = `forged-${id}-${randomBytes(4).toString("hex")}`;
      const facts = { id, url, ringName: `${id}:1`, weight: 100, state, incarnation, version: "1" };
      return `${incarnation} ${JSON.stringify(facts)}`;
    };
    const forgeMember = async (id: string, text: string, score = nowMs()): Promise<void> => {
      await redis("HSET", key("{members}:documents"), id, text);
      await redis("ZADD", key("{members}:beats"), score, id);
    };

    await forgeMember("evil", document("evil", allowed.url));
    await forgeMember("elsewhere", document("elsewhere", elsewhere.url));
    await forgeMember("by-name", document("by-name", `http://user:pass@127.0.0.1:1/path`));
    await forgeMember("huge", "x".repeat(1_000_000));
    await redis("PUBLISH", key("{members}:hints"), "evil");
    await eventually(
      async () =>
        (await Promise.all(nodes().map((node) => node.ring()))).every((view) =>
          view.nodes.some(({ id }) => id === "evil"),
        ),
      { timeoutMs: 8_000, intervalMs: 50 },
    );
    // By now most keys are his, as far as everybody knows.
    await pullsGoOn();
    await keptStays();
    assert.ok(allowed.heard().includes("/peer/v1/"), "he was never asked");

    const [first] = nodes();
    for (const score of ["1e300", "-1e300", "inf", nowMs(-3_600_000), nowMs(9_000)]) {
      await forgeMember("evil", document("evil", allowed.url), score);
      await redis("ZADD", key("{members}:beats"), score, first?.id ?? "");
    }
    await forgeMember("n2", document("n2", allowed.url));
    await pullsGoOn();

    const leased = [addImage("acme"), addImage("open"), addImage("open")];
    const holders = ["evil", "n3".repeat(200_000), "../../etc/passwd\r\n\u0000"];
    for (const [index, { image }] of leased.entries())
      for (const { digest } of [image, image.config, ...image.layers]) {
        const lock = key(`{d:${digest}}:lock`);
        await redis(
          "HSET",
          lock,
          "token",
          "forged",
          "node",
          holders[index] ?? "",
          "bytes",
          "9".repeat(400),
          "attempt",
          "x",
        );
        // As if he did not renew it any more: nobody waits for ever for a lease that stands still.
        await redis("PEXPIRE", lock, "1000");
      }
    await Promise.all(leased.flatMap((each) => nodes().map(({ url }) => pullImage(url, each))));

    const purged = [
      kept[0]?.image.layers[1]?.digest ?? "",
      `docker.io/${kept[1]?.repository}:1`,
      `docker.io/${kept[0]?.repository}`,
    ];
    for (const [index, word] of [...purged, "x".repeat(100_000), "docker.io/../..:1", "__proto__"].entries()) {
      await redis("ZADD", key("{purges}:log"), nowMs(index % 2 === 0 ? 0 : -86_400_000), word);
      await redis("PUBLISH", key("{purges}:hints"), word);
    }
    await keptStays();
    await pullsGoOn();

    const names = (await redis("KEYS", key("*"))).split("\r\n").filter((word) => word.startsWith(key("")));
    assert.ok(names.length >= 4, names.join());
    // At once: a node may write the key anew between two commands.
    const replace = "redis.call('DEL', KEYS[1]) redis.call('LPUSH', KEYS[1], 'wrong')";
    const spoil = (name: string): Promise<string> =>
      name.endsWith("birth") || name.endsWith("fence")
        ? redis("EVAL", replace, "1", name)
        : redis("SET", name, "wrong");
    await Promise.all(names.map(spoil));
    await pullsGoOn();
    await keptStays();

    assert.equal(elsewhere.connections(), 0, "a host was dialled that is not allowed");
    assertNoSecret("what he was told", allowed.heard(), allSecrets());
    const heard = requestsIn(allowed.heard());
    assert.ok(heard.length > 0);
    for (const { method, headers } of heard) assert.ok(method !== "POST" && headers["authorization"] === undefined);
    // What was meant for him opens no other door.
    for (const request of heard.slice(0, 5))
      for (const node of nodes()) {
        const { status, body } = await send(node, request);
        assert.ok(status >= 400, `${status}`);
        assert.equal(body.length, 0);
      }
    const evil = createHash("sha256").update(evilBytes).digest("hex");
    for (const node of nodes()) assert.equal((await filesOf(node)).includes(evil), false);
    await assertNothingTold();
  });
});
