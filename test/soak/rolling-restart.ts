import type { Hub } from "@pullring/testkit";

import { type Cluster, startCluster } from "../real/cluster.ts";
import type { ClusterNode } from "../real/cluster-node.ts";
import { type ClientResult, startClients, tallied } from "./promises-clients.ts";
import { makeClient, pullImage } from "./promises-http.ts";

/** With the configuration that is three blobs. */
const layers = [100_000, 100_000];
const warmCount = 12;
/** Of so many pulls one is of an image that nobody has asked for. */
const newOneIn = 8;
const workers = 8;

export interface RollingOptions {
  readonly nodes: number;
  readonly rounds: number;
  readonly s3?: boolean;
  readonly perSec: number;
}

export interface Rolled {
  readonly result: ClientResult;
  readonly wrongBytes: readonly string[];
  /** Nodes that did not end by themselves. */
  readonly forced: readonly string[];
  /** Blobs that were fetched more than once, and how often. */
  readonly fetchedAgain: ReadonlyMap<string, number>;
  readonly blobs: number;
  readonly tookMs: readonly number[];
}

interface Images {
  /** In the order in which they are pulled. */
  readonly order: readonly string[];
  readonly warm: readonly string[];
}

function makeImages({ content }: Hub, pulls: number): Images {
  const make = (repository: string): string => {
    content.addImage({ repository, tag: "1", layers });
    return repository;
  };
  const warm = Array.from({ length: warmCount }, (_, index) => make(`acme/warm-${index}`));
  const order = Array.from({ length: pulls }, (_, turn) =>
    turn % newOneIn === 0 ? make(`acme/new-${turn}`) : (warm[turn % warmCount] ?? ""),
  );
  return { order, warm };
}

async function warmUp({ url }: Cluster, { warm }: Images): Promise<void> {
  const client = makeClient(0);
  for (const repository of warm) await pullImage(client, { bases: [url], repository, tag: "1" }, 0);
  client.close();
}

/** With all the time that a node takes to leave; resolves when it is ready again, to whether it had ended well. */
async function restart(node: ClusterNode): Promise<boolean> {
  const { pullring } = node;
  pullring.kill("SIGTERM");
  const { code } = await pullring.ended;
  await node.start();
  return code === 0;
}

function fetches({ ledger }: Hub): ReadonlyMap<string, number> {
  const gets = ledger.entries.filter(({ kind }) => kind === "blob_get" || kind === "blob_range");
  const groups = Map.groupBy(gets, ({ reference }) => reference ?? "");
  return new Map([...groups].map(([digest, entries]) => [digest, entries.length] as const));
}

/**
 * Every node in turn is stopped and started again, as docs/upgrading.md has it, while clients pull through the balancer: images that
 * are there, and new ones.
 */
export async function rollingRestart(options: RollingOptions): Promise<Rolled> {
  const { nodes, rounds, s3 = false, perSec } = options;
  await using cluster = await startCluster({ nodes, s3, hub: { anonymousLimit: Number.MAX_SAFE_INTEGER } });
  // More than can be pulled meanwhile; it would begin anew, with nothing new.
  const images = makeImages(cluster.hub, perSec * nodes * rounds * 20);
  await warmUp(cluster, images);
  await using running = startClients({ kind: "pulls", base: cluster.url, images: images.order, workers, perSec });
  const forced: string[] = [];
  const tookMs: number[] = [];
  const turns = Array.from({ length: rounds }, () => cluster.nodes).flat();
  for (const [turn, node] of turns.entries()) {
    const startedMs = performance.now();
    if (!(await restart(node))) forced.push(node.id);
    // In the ring of all is what the next one waits for.
    if (turn < turns.length - 1) await cluster.converged();
    tookMs.push(performance.now() - startedMs);
  }
  const result = await running.end();
  const all = fetches(cluster.hub);
  return {
    result,
    wrongBytes: [...result.firstFailures, ...result.failures].filter((text) => text.includes("wrong bytes")),
    forced,
    fetchedAgain: new Map([...all].filter(([, count]) => count > 1)),
    blobs: all.size,
    tookMs,
  };
}

/** What is not as promised. */
export function problemsOf({ result, wrongBytes, forced, fetchedAgain }: Rolled): readonly string[] {
  return [
    ...(result.failures.length === 0 ? [] : [`failed twice: ${tallied(result.failures)}`]),
    ...wrongBytes,
    ...forced.map((id) => `${id} did not end well`),
    ...(fetchedAgain.size === 0 ? [] : [`${fetchedAgain.size} blobs were fetched again`]),
    ...(result.right > 100 ? [] : [`only ${result.right} pulls`]),
  ];
}
