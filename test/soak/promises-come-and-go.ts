import { setTimeout as sleep } from "node:timers/promises";

import { eventually } from "@pullring/testkit";

import { type Cluster, startCluster } from "../real/cluster.ts";
import { needsS3 } from "../real/s3.ts";
import { type ClientResult, startClients, tallied } from "./promises-clients.ts";
import { makeClient, pullImage } from "./promises-http.ts";
import { type Findings, seconds } from "./promises-table.ts";

const images = Array.from({ length: 60 }, (_, index) => `acme/warm-${index}`);
const layers = [100_000, 100_000, 100_000];
/** Of each image: its layers and its configuration. */
const blobsPerImage = layers.length + 1;
const workers = 32;
const perSecMax = 200;
const measuredForMs = 6_000;
const betweenMs = 4_000;
/** Node processes that start beside the load on a few cores need a part of them; what is looked at every 20 ms comes late too. */
const slackMs = 250;

interface Change {
  readonly what: string;
  readonly withinMs: number;
  /** Makes it, and tells when it began to hold and who is in the ring then. */
  make(cluster: Cluster): Promise<{ readonly startedMs: number; readonly rest: Promise<void> }>;
}

const add: Change = {
  what: "one added",
  withinMs: 3_000,
  async make(cluster) {
    await cluster.add();
    return { startedMs: performance.now(), rest: Promise.resolve() };
  },
};

const drain = (id: string): Change => ({
  what: `${id} drained`,
  withinMs: 3_000,
  async make(cluster) {
    const leaving = cluster.nodes.find((node) => node.id === id);
    if (!leaving) throw new Error(`no node ${id}`);
    return { startedMs: performance.now(), rest: cluster.remove(leaving) };
  },
});

const kill = (id: string): Change => ({
  what: `${id} killed`,
  withinMs: 12_000,
  async make(cluster) {
    const startedMs = performance.now();
    await cluster.nodes.find((node) => node.id === id)?.kill();
    return { startedMs, rest: Promise.resolve() };
  },
});

interface Course {
  readonly what: string;
  readonly nodes: number;
  readonly hasS3: boolean;
  readonly changes: readonly Change[];
}

const courses: readonly Course[] = [false, true].flatMap((hasS3) => [
  { what: "5 + 1 − 1", nodes: 5, hasS3, changes: [add, drain("n1")] },
  { what: "3 → 5 → 3", nodes: 3, hasS3, changes: [add, add, drain("n1"), drain("n2")] },
  ...(hasS3 ? [{ what: "5, one killed", nodes: 5, hasS3, changes: [kill("n2")] }] : []),
]);

/** Whether all running nodes that are not to leave see the same ring, of themselves and nobody else. */
async function isConverged(cluster: Cluster, leaving: ReadonlySet<string>): Promise<boolean> {
  const staying = cluster.nodes.filter(({ id, isRunning }) => isRunning && !leaving.has(id));
  const views = await Promise.all(staying.map((node) => node.ring()));
  const ids = staying.map(({ id }) => id).sort();
  return views.every(({ epoch, nodes }) => {
    const active = nodes.filter(({ state }) => state === "active").map(({ id }) => id);
    return epoch === views[0]?.epoch && active.sort().join() === ids.join();
  });
}

/** How long the change took until all agreed on it. */
async function changed(cluster: Cluster, change: Change): Promise<number> {
  const leaving = new Set(change.what.endsWith("drained") ? [change.what.split(" ")[0] ?? ""] : []);
  const { startedMs, rest } = await change.make(cluster);
  const agreed = eventually(() => isConverged(cluster, leaving).catch(() => false), {
    timeoutMs: 30_000,
    intervalMs: 20,
  }).then(() => performance.now() - startedMs);
  const [tookMs] = await Promise.all([agreed, rest]);
  return tookMs;
}

const blobGets = ({ hub }: Cluster): number => hub.ledger.count({ kind: ["blob_get", "blob_range"] });

/** Every image once by each of the nodes in turn. */
async function pullAll(bases: readonly string[]): Promise<void> {
  const client = makeClient(0);
  for (const [turn, repository] of images.entries()) await pullImage(client, { bases, repository, tag: "1" }, turn);
  client.close();
}

async function warm(cluster: Cluster): Promise<void> {
  for (const repository of images) cluster.hub.content.addImage({ repository, tag: "1", layers });
  await pullAll([cluster.url]);
  const { s3 } = cluster;
  if (!s3) return;
  const wanted = images.length * blobsPerImage;
  const isUploaded = async (): Promise<boolean> => (await s3.keys("v1/blobs/")).length >= wanted;
  await eventually(isUploaded, { timeoutMs: 60_000, intervalMs: 200 });
}

/** Pulls per second that the machine carries with as many clients as it likes. */
async function capacity({ url }: Cluster): Promise<number> {
  await using running = startClients({ kind: "pulls", base: url, images, workers });
  await sleep(measuredForMs);
  return (await running.end()).perSec;
}

interface Outcome {
  readonly most: number;
  readonly result: ClientResult;
  readonly tookMs: readonly number[];
  readonly blobGets: number;
}

async function follow({ nodes, hasS3, changes }: Course): Promise<Outcome> {
  await using cluster = await startCluster({ nodes, s3: hasS3, hub: { anonymousLimit: Number.MAX_SAFE_INTEGER } });
  await warm(cluster);
  const most = await capacity(cluster);
  const before = blobGets(cluster);
  const perSec = Math.min(perSecMax, most / 2);
  await using running = startClients({ kind: "pulls", base: cluster.url, images, workers, perSec });
  const tookMs: number[] = [];
  await sleep(betweenMs);
  for (const change of changes) {
    tookMs.push(await changed(cluster, change));
    await sleep(betweenMs);
  }
  const result = await running.end();
  // What the load did not happen to ask for has to be there as well.
  await pullAll(cluster.nodes.filter(({ isRunning }) => isRunning).map(({ url }) => url));
  return { most, result, tookMs, blobGets: blobGets(cluster) - before };
}

function problemsOf({ what, hasS3, changes }: Course, outcome: Outcome): readonly string[] {
  const { result, tookMs } = outcome;
  const late = changes.flatMap(({ what, withinMs }, index) => {
    const ms = tookMs[index] ?? Number.NaN;
    return ms <= withinMs + slackMs ? [] : [`${what}: the ring took ${seconds(ms)}`];
  });
  const text = [
    ...late,
    ...(outcome.blobGets === 0 ? [] : [`${outcome.blobGets} GETs of blobs`]),
    ...(result.failures.length === 0 ? [] : [`failed twice: ${tallied(result.failures)}`]),
    ...(result.right > 100 ? [] : [`only ${result.right} pulls`]),
  ];
  return text.map((problem) => `come and go, ${what}${hasS3 ? " with S3" : ""}: ${problem}`);
}

/** Nodes come, leave and die under pulls; what was warm costs nothing upstream. */
export async function comeAndGo(): Promise<Findings> {
  const head = [
    "",
    "S3",
    "carries",
    "pulled at",
    "pulls",
    "retried",
    "failed twice",
    "GETs of blobs",
    "ring agreed after",
  ];
  const table = [head];
  const problems: string[] = [];
  const skipped = needsS3();
  for (const course of courses.filter(({ hasS3 }) => !hasS3 || skipped === false)) {
    const outcome = await follow(course);
    const { most, result, tookMs } = outcome;
    table.push([
      course.what,
      course.hasS3 ? "yes" : "no",
      `${most.toFixed(0)}/s`,
      `${result.perSec.toFixed(0)}/s`,
      `${result.right}`,
      `${result.retried}`,
      `${result.failures.length}`,
      `${outcome.blobGets}`,
      course.changes.map(({ what }, index) => `${what}: ${seconds(tookMs[index] ?? Number.NaN)}`).join(", "),
    ]);
    if (result.retried > 0) process.stderr.write(`${course.what}, retried: ${tallied(result.firstFailures)}\n`);
    problems.push(...problemsOf(course, outcome));
  }
  const note = skipped === false ? {} : { note: `Without S3: ${skipped}.` };
  return { title: "Nodes come and go while images are pulled", table, problems, ...note };
}
