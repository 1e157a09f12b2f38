import { mkdir, mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type Hub, startHub } from "@pullring/testkit";

import { startBalancer, type BalancerKind } from "../real/balancer.ts";
import { startCluster } from "../real/cluster.ts";
import { startRegistry } from "../real/docker-registry.ts";
import { needs } from "../real/needs.ts";
import { startClients, tallied, together } from "./promises-clients.ts";
import { type Findings, seconds, span } from "./promises-table.ts";

const MB = 1_000_000;
const layers = [MB, MB, MB, 2 * MB, 2 * MB, 2 * MB, 3 * MB, 4 * MB];
const nodes = 5;
const clients = 1_000;
const processes = 2;
/** A layer takes as long to come as clients take to arrive. docker-registry asks for each blob by HEAD first, and at the CDN too. */
const hubOptions = {
  responseBytesPerSec: 2 * MB,
  anonymousLimit: Number.MAX_SAFE_INTEGER,
  cdnHeadStatus: 200,
} as const;

interface Row {
  readonly what: string;
  readonly cells: readonly string[];
  readonly problems: readonly string[];
}

interface Crowd {
  readonly what: string;
  readonly hub: Hub;
  readonly url: string;
  readonly repository: string;
  /** What is only there to be compared with is not held to the promise. */
  readonly isPromised: boolean;
}

/** 1,000 clients, what they got, and what that cost upstream. */
async function crowd({ what, hub, url, repository, isPromised }: Crowd): Promise<Row> {
  const image = hub.content.addImage({ repository, tag: "1", layers });
  hub.ledger.clear();
  const startedMs = performance.now();
  await using running = new AsyncDisposableStack();
  const share = clients / processes;
  const started = Array.from({ length: processes }, (_, index) =>
    running.use(
      startClients({
        kind: "crowd",
        first: index * share,
        clients: share,
        image: { bases: [url], repository, tag: "1" },
      }),
    ),
  );
  const result = together(await Promise.all(started.map((each) => each.result)));
  const tookMs = performance.now() - startedMs;

  const blobs = [image.config, ...image.layers].map(({ digest }) =>
    hub.ledger.count({ reference: digest, kind: ["blob_get", "blob_range"] }),
  );
  const bytes = hub.ledger
    .filter({ kind: ["cdn_get", "cdn_range"] })
    .reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  const manifests = hub.ledger.count({ repository, kind: "manifest_get", counted: true });
  const heads = hub.ledger.count({ repository, kind: "manifest_head" });
  const total = blobs.reduce((sum, count) => sum + count, 0);
  const problems = [
    ...(result.right === clients ? [] : [`${clients - result.right} clients failed: ${tallied(result.failures)}`]),
    ...(blobs.every((count) => count === 1) ? [] : [`GETs of the blobs: ${blobs.join(", ")}`]),
    ...(manifests === 1 ? [] : [`${manifests} counted GETs of the manifest`]),
  ];
  return {
    what,
    cells: [
      what,
      `${result.right}`,
      span(blobs),
      `${total}`,
      (bytes / MB).toFixed(0),
      `${manifests}`,
      `${heads}`,
      seconds(tookMs),
    ],
    problems: isPromised ? problems.map((problem) => `one fetch, ${what}: ${problem}`) : [],
  };
}

/** The first image with Redis, another one once that was stopped. */
async function pullring(kind: BalancerKind): Promise<readonly Row[]> {
  await using cluster = await startCluster({ nodes, balancer: kind, hub: hubOptions });
  const { hub, url } = cluster;
  const first = await crowd({ what: `Pullring, ${kind}`, hub, url, repository: "acme/with", isPromised: true });
  await cluster.redis?.stop();
  const what = `Pullring, ${kind}, Redis stopped`;
  return [first, await crowd({ what, hub, url, repository: "acme/without", isPromised: true })];
}

/** As many Distribution proxies on one volume, behind the same balancer. */
async function distribution(): Promise<readonly Row[]> {
  await using running = new AsyncDisposableStack();
  const dir = running.use(await mkdtempDisposable(join(tmpdir(), "pullring-proxies-"))).path;
  const hub = await startHub(hubOptions);
  running.defer(() => hub.close());
  const servers: string[] = [];
  for (let index = 1; index <= nodes; index += 1) {
    const own = join(dir, `d${index}`);
    await mkdir(own);
    const registry = await startRegistry({ dir: own, data: join(dir, "volume"), proxyOf: hub.url });
    running.use(registry);
    servers.push(registry.host);
  }
  const balancer = running.use(await startBalancer({ dir: join(dir, "balancer"), kind: "round robin", servers }));
  const what = `docker-registry × ${nodes}, round robin`;
  return [await crowd({ what, hub, url: balancer.url, repository: "acme/proxied", isPromised: false })];
}

/** A cold image and 1,000 clients at once, in front of five nodes. */
export async function oneFetch(): Promise<Findings> {
  const rows = [...(await pullring("ring")), ...(await pullring("round robin"))];
  if (needs("docker-registry") === false) rows.push(...(await distribution()));
  const bytes = layers.reduce((sum, size) => sum + size, 0) / MB;
  return {
    title: `${clients} clients pull a cold image of ${layers.length} layers (${bytes} MB) from ${nodes} nodes at once`,
    table: [
      [
        "",
        "clients right",
        "GETs per blob",
        "GETs of blobs",
        "MB from upstream",
        "counted GETs of the manifest",
        "HEADs",
        "took",
      ],
      ...rows.map(({ cells }) => cells),
    ],
    problems: rows.flatMap(({ problems }) => problems),
  };
}
