import { eventually } from "@pullring/testkit";

import { type Cluster, startCluster } from "../real/cluster.ts";
import type { ClusterNode } from "../real/cluster-node.ts";
import { pull } from "../real/http.ts";
import { type ClientResult, startClients, tallied } from "./promises-clients.ts";
import { type Findings, seconds } from "./promises-table.ts";

const MB = 1_000_000;
const size = 400 * MB;
const clients = 100;
/** 100 clients take 100 times as much from the nodes; at more than this the machine, not the fill, is what they wait for. */
const responseBytesPerSec = 4 * MB;
interface Case {
  readonly what: string;
  readonly withinMs: number;
  end(owner: ClusterNode): void | Promise<void>;
  back(owner: ClusterNode): void | Promise<void>;
}

const cases: readonly Case[] = [
  { what: "killed (kill -9)", withinMs: 2_000, end: (owner) => owner.kill(), back: (owner) => owner.start() },
  { what: "hung (SIGSTOP)", withinMs: 17_000, end: (owner) => owner.freeze(), back: (owner) => owner.thaw() },
];

async function ownerOf({ nodes }: Cluster, key: string): Promise<ClusterNode> {
  const answer = await pull(`${nodes[0]?.adminUrl}/admin/v1/ring/owner?key=${encodeURIComponent(key)}`);
  const { owner } = JSON.parse(answer.head.toString()) as { owner: string };
  const found = nodes.find(({ id }) => id === owner);
  if (!found) throw new Error(`nobody is ${owner}`);
  return found;
}

interface Outcome {
  readonly result: ClientResult;
  readonly whole: number;
  readonly ranges: number;
  /** From the leader's end until upstream was asked for the rest; undefined = it was not. */
  readonly tookMs: number | undefined;
}

/** A fill whose leader ends halfway; its clients are at the other nodes. */
async function takeoverIn(cluster: Cluster, fault: Case, repository: string): Promise<Outcome> {
  const { hub } = cluster;
  const { digest } = hub.content.addBlob({ repository, size });
  const owner = await ownerOf(cluster, digest);
  const others = cluster.nodes.filter((node) => node !== owner);
  const urls = others.map(({ url }) => `${url}/v2/${repository}/blobs/${digest}`);
  await using running = startClients({ kind: "blob", first: 0, clients, urls, digest });
  const isHalfDone = (): boolean =>
    hub.ledger.filter({ repository, kind: "cdn_get" }).some(({ bytesSent }) => bytesSent > size / 2);
  await eventually(isHalfDone, { timeoutMs: 300_000, intervalMs: 20 });
  // The hub's time.
  const endedAt = Date.now();
  await fault.end(owner);
  const result = await running.result;
  const asked = hub.ledger.entries.find((entry) => entry.repository === repository && entry.kind === "cdn_range");
  return {
    result,
    whole: hub.ledger.count({ repository, kind: "cdn_get" }),
    ranges: hub.ledger.count({ repository, kind: "cdn_range" }),
    tookMs: asked && asked.at - endedAt,
  };
}

function problemsOf({ what, withinMs }: Case, { result, whole, ranges, tookMs = 0 }: Outcome): readonly string[] {
  const stalledMs = Math.max(0, ...result.stalledMs);
  const text: string[] = [];
  if (result.right !== clients) text.push(`${clients - result.right} clients failed: ${tallied(result.failures)}`);
  if (whole !== 1 || ranges > 1) text.push(`${whole} whole GETs and ${ranges} ranges`);
  if (tookMs > withinMs) text.push(`upstream was asked for the rest after ${seconds(tookMs)}`);
  if (stalledMs > withinMs + result.pausedMs) text.push(`no byte for ${seconds(stalledMs)}`);
  return text.map((problem) => `takeover, ${what}: ${problem}`);
}

/** The leader of a fill of 400 MB ends at half of it, with 100 clients at the other nodes. */
export async function takeover(): Promise<Findings> {
  await using cluster = await startCluster({ nodes: 5, balancer: "none", hub: { responseBytesPerSec } });
  const table = [
    [
      "the leader",
      "clients right",
      "whole GETs",
      "ranges",
      "rest asked for after",
      "no byte for: median",
      "at most",
      "bound",
      "the clients' own pauses",
    ],
  ];
  const problems: string[] = [];
  for (const [index, each] of cases.entries()) {
    const startedNodes = [...cluster.nodes];
    const outcome = await takeoverIn(cluster, each, `acme/case-${index}`);
    const stalls = [...outcome.result.stalledMs].sort((a, b) => a - b);
    table.push([
      each.what,
      `${outcome.result.right}`,
      `${outcome.whole}`,
      `${outcome.ranges}`,
      outcome.tookMs === undefined ? "never" : seconds(outcome.tookMs),
      seconds(stalls[Math.floor(stalls.length / 2)] ?? Number.NaN),
      seconds(stalls.at(-1) ?? Number.NaN),
      seconds(each.withinMs),
      seconds(outcome.result.pausedMs),
    ]);
    problems.push(...problemsOf(each, outcome));
    const ended = startedNodes.find(({ isRunning }) => !isRunning);
    for (const node of startedNodes) if (node === ended || each.what.startsWith("hung")) await each.back(node);
    await cluster.converged(30_000);
  }
  return {
    title: `A leader ends at half of ${size / MB} MB, ${clients} clients wait at 4 other nodes`,
    table,
    problems,
  };
}
