import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { PurgeOrder } from "@pullring/core";
import { makeRing } from "@pullring/hash-ring";
import type { Digest } from "@pullring/oci";
import { jumpingClock } from "@pullring/testkit";
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from "fastify";

import { canonicalNames, loadConfig, type Config } from "../config/index.ts";
import { makeAdminApp } from "../health/admin-app.ts";
import { makeHealth } from "../health/health.ts";
import { makeMetrics } from "../observe/metrics.ts";
import * as answers from "./answers.ts";
import {
  AdminProblem,
  fillsOf,
  loneDrainer,
  loneRing,
  makeAdminApi,
  makePurger,
  type AdminApiOptions,
  type FillFacts,
} from "./index.ts";

const token = "c4n4ry-token";
const bearer = { authorization: `Bearer ${token}` };
const nowMs = Date.UTC(2026, 0, 2);
const digest = `sha256:${"ab".repeat(32)}`;

const tree = {
  node: { id: "n1", ringName: "n1:5000" },
  admin: { token },
  accounts: [{ name: "ci", upstream: "docker.io", username: "u", password: "c4n4ry-password" }],
  cluster: { redis: { url: "redis://r", password: "c4n4ry-redis" }, peer: { secret: "c4n4ry-peer" } },
};

const configOf = (value: object): Promise<Config> =>
  loadConfig({ file: "c", env: {}, readFile: () => Promise.resolve(JSON.stringify(value)) });

const members = [1, 2, 3].map((at) => ({ id: `n${at}`, ringName: `n${at}:5000`, weight: at === 3 ? 2 : 1 }));
const ring = makeRing(members);
const cluster: AdminApiOptions["ring"] = {
  self: "n1",
  ring: () => ring,
  nodes: () => [
    ...members.map((member) => {
      const isSelf = member.id === "n1";
      const state = "active" as const;
      return { ...member, url: `http://${member.id}:5002`, state, lastSeenMs: isSelf ? 0 : 900, benched: !isSelf };
    }),
    { id: "n4", ringName: "n4", url: "http://n4", weight: 1, state: "joining", lastSeenMs: 5, benched: false },
  ],
};

const fill: FillFacts = {
  digest,
  repository: "docker.io/library/alpine",
  bytes: 10,
  total: null,
  source: "upstream:docker.io",
  lane: "anonymous@default@n1",
  readers: 2,
  rate: 5,
};

const nothing = { here: () => [], at: () => Promise.resolve([]) };

type Method = "GET" | "POST" | "DELETE";

interface Rig {
  readonly app: FastifyInstance;
  readonly lines: (readonly [string, Readonly<Record<string, unknown>>, string])[];
  readonly orders: PurgeOrder[];
  readonly drains: string[];
  readonly ask: (method: Method, url: string, more?: InjectOptions) => Promise<LightMyRequestResponse>;
}

async function open(t: TestContext, options: Partial<AdminApiOptions> = {}): Promise<Rig> {
  const config = options.config ?? (await configOf(tree));
  const [lines, orders, drains]: [Rig["lines"], PurgeOrder[], string[]] = [[], [], []];
  const api = makeAdminApi({
    config,
    names: { default: config.default, canonical: canonicalNames(config.upstreams) },
    ring: cluster,
    fills: {
      here: () => [fill],
      at: (node) => (node === "n2" ? Promise.resolve([{ ...fill, readers: 7 }]) : Promise.reject(new Error("silent"))),
    },
    quota: { here: () => Promise.resolve([]), at: () => Promise.resolve([]) },
    purger: {
      purge(order) {
        orders.push(order);
        return Promise.resolve({ reached: ["n1", "n2"], missing: ["n3"], shared: "purged" });
      },
    },
    drainer: {
      drain: () => Promise.resolve(drains.push("drain") > 0),
      undrain: () => Promise.resolve(drains.push("undrain") === 0),
    },
    held: {
      tiers: nothing,
      images: () => nothing,
      blob: () => nothing,
      shared: () => Promise.resolve({ state: "none", size: null }),
    },
    warmer: { warm: () => Promise.reject(new Error("nothing is warmed here")) },
    events: { open: () => () => Promise.resolve(), close: () => Promise.resolve() },
    clock: { ...jumpingClock(), now: () => nowMs },
    log: {
      info: (facts, message) => void lines.push(["info", facts, message]),
      warn: (facts, message) => void lines.push(["warn", facts, message]),
    },
    ...options,
  });
  const app = makeAdminApp({ health: makeHealth({ degradedBy: () => [] }), metrics: makeMetrics(), api });
  t.after(() => app.close());
  const ask: Rig["ask"] = (method, url, more = {}) =>
    app.inject({ method, url, ...more, headers: { host: "127.0.0.1:5001", ...more.headers } });
  return { app, lines, orders, drains, ask };
}

/** The answer, which has exactly what the OpenAPI document says. */
function bodyOf(response: LightMyRequestResponse, schema: { parse(value: unknown): unknown }): Record<string, unknown> {
  assert.equal(response.statusCode, 200, response.body);
  assert.equal(response.headers["content-type"], "application/json");
  assert.equal(response.headers["cache-control"], "no-store");
  const body = response.json<Record<string, unknown>>();
  assert.deepEqual(schema.parse(body), body);
  return body;
}

const problemOf = (response: LightMyRequestResponse): [number, unknown] => {
  assert.equal(response.headers["content-type"], "application/problem+json");
  const { title, status, detail, ...more } = response.json<Record<string, unknown>>();
  assert.deepEqual([status, typeof title, more], [response.statusCode, "string", {}]);
  return [response.statusCode, detail];
};

test("the ring is told with every node that is known, and shares that add up to all keys", async (t) => {
  const { ask } = await open(t);
  const body = bodyOf(await ask("GET", "/admin/v1/ring"), answers.ringAnswer) as unknown as {
    nodes: { id: string; share: number; benched: boolean }[];
  };
  const { nodes, ...rest } = body;
  assert.deepEqual(rest, { epoch: ring.epoch, algorithm: "ketama", points: ring.points, self: "n1" });
  assert.deepEqual(nodes.map(({ id, benched }) => `${id} ${benched}`).join(), "n1 false,n2 true,n3 true,n4 false");
  assert.ok(Math.abs(nodes.reduce((sum, { share }) => sum + share, 0) - 1) < 1e-9);
  assert.equal(nodes[3]?.share, 0);
});

test("the owner of a key is the ring's, however the image is written", async (t) => {
  const { ask } = await open(t);
  const key = "docker.io/library/alpine:3";
  for (const text of [key, "alpine:3", "index.docker.io/alpine:3"]) {
    const response = await ask("GET", `/admin/v1/ring/owner?key=${encodeURIComponent(text)}`);
    const [owner, ...next] = ring.successors(key);
    assert.deepEqual(bodyOf(response, answers.ownerAnswer), { key, hash: ring.hash(key), owner, next });
  }
  const { owner } = bodyOf(await ask("GET", `/admin/v1/ring/owner?key=${digest}`), answers.ownerAnswer);
  assert.equal(owner, ring.owner(digest));
});

test("a key that is none is refused with the reason", async (t) => {
  const { ask } = await open(t);
  const owner = async (query: string): Promise<[number, unknown]> =>
    problemOf(await ask("GET", `/admin/v1/ring/owner${query}`));
  assert.deepEqual(await owner(""), [400, "key is missing"]);
  assert.deepEqual(await owner("?key="), [400, "key is missing"]);
  assert.deepEqual(await owner("?key=a:1&key=b:1"), [400, "key is given twice"]);
  assert.equal((await owner("?key=alpine"))[0], 400);
  assert.equal((await owner("?key=evil.example/a:1"))[0], 404);
});

test("a preview tells what would move, without a token, and moves nothing", async (t) => {
  const { ask, lines, drains } = await open(t);
  const preview = async (body: object): Promise<Record<string, unknown>> =>
    bodyOf(await ask("POST", "/admin/v1/ring/preview", { payload: body }), answers.previewAnswer);
  const none = await preview({});
  assert.equal(none["moved"], 0);
  const added = (await preview({ add: [{ id: "n5", weight: 1 }] })) as unknown as { moved: number; nodes: object[] };
  assert.ok(added.moved > 0.1 && added.moved < 0.3, String(added.moved));
  assert.equal(added.nodes.length, 4);
  const gone = (await preview({ remove: ["n3"] })) as unknown as { nodes: { id: string; after: number }[] };
  assert.equal(gone.nodes.find(({ id }) => id === "n3")?.after, 0);
  // A new weight keeps the ring name: only the difference moves.
  const heavier = await preview({ remove: ["n1"], add: [{ id: "n1", weight: 2 }] });
  assert.ok(Number(heavier["moved"]) < 0.3, JSON.stringify(heavier));
  assert.deepEqual([cluster.ring().members.length, lines, drains], [3, [], []]);
});

for (const [what, payload] of [
  ["no JSON", "{"],
  ["a list", []],
  ["an unknown key", { adds: [] }],
  ["a weight of 0", { add: [{ id: "n5", weight: 0 }] }],
  ["a weight of 1.5", { add: [{ id: "n5", weight: 1.5 }] }],
  ["a node without id", { add: [{ weight: 1 }] }],
  ["an id with a space", { add: [{ id: "n 5" }] }],
  ["one that is there", { add: [{ id: "n1" }] }],
  ["a ring name that is taken", { add: [{ id: "n5", ringName: "n1:5000" }] }],
  ["one that is not there", { remove: ["n9"] }],
  ["nobody left", { remove: ["n1", "n2", "n3"] }],
  ["more than a ring should have", { add: Array.from({ length: 257 }, (_, at) => ({ id: `m${at}` })) }],
] as const) {
  test(`a preview with ${what} is refused`, async (t) => {
    const { ask } = await open(t);
    const headers = { "content-type": "application/json" };
    const response = await ask("POST", "/admin/v1/ring/preview", { payload: payload as string, headers });
    assert.equal(problemOf(response)[0], 400);
  });
}

test("a node drains and comes back by the same call", async (t) => {
  const { ask, drains } = await open(t);
  const drained = await ask("POST", "/admin/v1/nodes/self/drain", { headers: bearer });
  assert.deepEqual(bodyOf(drained, answers.drainAnswer), { node: "n1", draining: true, told: true });
  const back = await ask("DELETE", "/admin/v1/nodes/self/drain", { headers: bearer });
  assert.deepEqual(bodyOf(back, answers.drainAnswer), { node: "n1", draining: false, told: false });
  assert.deepEqual(drains, ["drain", "undrain"]);
});

test("fills are those of the cluster, each with its node, nodes that do not answer are named, ?node=self narrows it", async (t) => {
  const { ask } = await open(t);
  assert.deepEqual(bodyOf(await ask("GET", "/admin/v1/fills"), answers.fillsAnswer), {
    fills: [
      { node: "n1", ...fill },
      { node: "n2", ...fill, readers: 7 },
    ],
    missing: ["n3", "n4"],
  });
  const self = bodyOf(await ask("GET", "/admin/v1/fills?node=self"), answers.fillsAnswer);
  assert.deepEqual(self, { fills: [{ node: "n1", ...fill }], missing: [] });
  assert.equal(problemOf(await ask("GET", "/admin/v1/fills?node=n2"))[0], 400);
});

test("a purge goes to every node with its time, and tells who was not reached", async (t) => {
  const { ask, orders } = await open(t);
  const repository = { upstream: "docker.io", name: "library/alpine" };
  for (const [path, purged, order] of [
    [`blobs/${digest}`, digest, { digest }],
    [`blobs/sha512%3A${"cd".repeat(64)}`, `sha512:${"cd".repeat(64)}`, { digest: `sha512:${"cd".repeat(64)}` }],
    ["images/docker.io/alpine:3", "docker.io/library/alpine:3", { repository, tag: "3" }],
    ["images/docker.io%2Falpine%3A3", "docker.io/library/alpine:3", { repository, tag: "3" }],
    ["images/docker.io/library/alpine", "docker.io/library/alpine", { repository }],
  ] as const) {
    const response = await ask("DELETE", `/admin/v1/${path}`, { headers: bearer });
    assert.deepEqual(bodyOf(response, answers.purgeAnswer), {
      purged,
      at: "2026-01-02T00:00:00.000Z",
      nodes: [{ node: "n1" }, { node: "n2" }],
      s3: "purged",
      missing: ["n3"],
    });
    assert.deepEqual(orders.at(-1), { ...order, atMs: nowMs });
  }
});

test("what is no digest and no image is not purged", async (t) => {
  const { ask, orders } = await open(t);
  for (const [path, status] of [
    ["blobs/sha256:abc", 400],
    ["images/docker.io/Alpine", 400],
    ["images/docker.io/alpine:", 400],
    ["images/evil.example/a:1", 404],
    ["images/", 400],
  ] as const) {
    const response = await ask("DELETE", `/admin/v1/${path}`, { headers: bearer });
    assert.equal(problemOf(response)[0], status, path);
  }
  assert.deepEqual(orders, []);
});

test("the effective configuration is told without a secret", async (t) => {
  const { ask } = await open(t);
  const response = await ask("GET", "/admin/v1/config");
  const body = bodyOf(response, answers.configAnswer) as { admin: { token: string }; node: object };
  assert.equal(body.admin.token, "***");
  assert.deepEqual(body.node, { id: "n1", ringName: "n1:5000", weight: 1 });
  assert.ok(!response.body.includes("c4n4ry"));
});

const changes = [
  ["POST", "/admin/v1/nodes/self/drain"],
  ["DELETE", "/admin/v1/nodes/self/drain"],
  ["DELETE", `/admin/v1/blobs/${digest}`],
  ["DELETE", "/admin/v1/images/docker.io/alpine:3"],
] as const;
const looks = [
  "ring",
  "ring/owner?key=a:1",
  "quota",
  "fills",
  "cache",
  "images",
  `blobs/${digest}`,
  "config",
  "openapi.json",
].map((path) => `/admin/v1/${path}`);

test("without the token nothing is changed, also from this host, and whoever tried stands in the log", async (t) => {
  for (const [method, url] of changes) {
    const { ask, lines, orders, drains } = await open(t);
    const response = await ask(method, `${url}?x=c4n4ry`, { headers: { authorization: "Bearer c4n4ry" } });
    assert.equal(problemOf(response)[0], 401);
    assert.equal(response.headers["www-authenticate"], 'Bearer realm="pullring"');
    assert.deepEqual([orders, drains], [[], []]);
    const facts = { audit: true, client: "127.0.0.1", token: "refused", method, path: url, status: 401 };
    assert.deepEqual(lines, [["warn", facts, "refused by the admin API"]]);
  }
});

test("from another host nothing is told without the token but health and metrics", async (t) => {
  const { ask } = await open(t);
  const remoteAddress = "10.0.0.9";
  for (const url of looks) assert.equal((await ask("GET", url, { remoteAddress })).statusCode, 401, url);
  for (const url of looks) {
    assert.equal((await ask("GET", url, { remoteAddress, headers: bearer })).statusCode, 200, url);
  }
  const headers = { host: "anything.example", origin: "https://evil.example" };
  for (const url of ["/livez", "/readyz", "/metrics"])
    assert.equal((await ask("GET", url, { remoteAddress, headers })).statusCode, 200, url);
});

test("a foreign Host or Origin is refused everywhere, with the right token too", async (t) => {
  const { ask, orders, drains } = await open(t);
  for (const headers of [{ host: "evil.example" }, { origin: "https://evil.example" }, { origin: "null" }]) {
    for (const url of looks)
      assert.equal((await ask("GET", url, { headers: { ...bearer, ...headers } })).statusCode, 403);
    for (const [method, url] of changes)
      assert.equal((await ask(method, url, { headers: { ...bearer, ...headers } })).statusCode, 403);
  }
  assert.deepEqual([orders, drains], [[], []]);
});

test("every change stands in the log with who, what and how it ended; looking does not", async (t) => {
  const { ask, lines } = await open(t);
  for (const url of looks) await ask("GET", url);
  assert.deepEqual(lines, []);
  for (const [method, url] of changes) await ask(method, url, { headers: bearer });
  await ask("DELETE", "/admin/v1/blobs/none", { headers: bearer });
  const facts = { audit: true, client: "127.0.0.1", token: "admin" } as const;
  assert.deepEqual(lines, [
    ...changes.map(([method, path]) => {
      return ["info", { ...facts, method, path, status: 200 }, "changed by the admin API"];
    }),
    [
      "warn",
      { ...facts, method: "DELETE", path: "/admin/v1/blobs/none", status: 400 },
      "the admin API could not do this",
    ],
  ]);
});

const progress = {
  digest: digest as Digest,
  repository: { upstream: "docker.io", name: "library/alpine" },
  bytes: 10,
  size: undefined,
  source: "upstream:docker.io",
  lane: undefined,
  readers: 2,
  bytesPerSec: 5.2,
};

test("a node that is alone is its own ring, owns every key, and has nobody to drain to", async (t) => {
  const config = await configOf({ node: { id: "solo" }, admin: { token } });
  const { ask } = await open(t, {
    config,
    ring: loneRing(config.node),
    fills: fillsOf(
      () => [{ progress: () => progress }],
      () => Promise.reject(new Error("away")),
    ),
    drainer: loneDrainer,
    purger: makePurger({ self: "solo", others: () => [], here: () => Promise.resolve(), at: () => Promise.reject() }),
  });
  const { nodes } = bodyOf(await ask("GET", "/admin/v1/ring"), answers.ringAnswer) as {
    nodes: Record<string, unknown>[];
  };
  assert.deepEqual([nodes.length, nodes[0]?.["id"], nodes[0]?.["share"]], [1, "solo", 1]);
  const owned = bodyOf(await ask("GET", `/admin/v1/ring/owner?key=${digest}`), answers.ownerAnswer);
  assert.deepEqual([owned["owner"], owned["next"]], ["solo", []]);
  assert.deepEqual(bodyOf(await ask("GET", "/admin/v1/fills"), answers.fillsAnswer), {
    fills: [{ ...fill, node: "solo", lane: null }],
    missing: [],
  });
  const purged = await ask("DELETE", `/admin/v1/blobs/${digest}`, { headers: bearer });
  assert.deepEqual(bodyOf(purged, answers.purgeAnswer)["nodes"], [{ node: "solo" }]);
  const [status, detail] = problemOf(await ask("POST", "/admin/v1/nodes/self/drain", { headers: bearer }));
  assert.equal(status, 409);
  assert.match(String(detail), /in no cluster/);
});

test("a failure inside is told by its status only, a refusal with its reason", async (t) => {
  const fails = (error: Error): Promise<never> => Promise.reject(error);
  const { ask } = await open(t, {
    drainer: { drain: () => fails(new Error("c4n4ry")), undrain: () => fails(new AdminProblem(503, "Redis is away")) },
  });
  const drain = async (method: "POST" | "DELETE"): Promise<[number, unknown]> =>
    problemOf(await ask(method, "/admin/v1/nodes/self/drain", { headers: bearer }));
  assert.deepEqual(await drain("POST"), [500, undefined]);
  assert.deepEqual(await drain("DELETE"), [503, "Redis is away"]);
});
