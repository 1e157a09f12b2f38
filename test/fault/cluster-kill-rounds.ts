import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { startS3Double, type S3Double } from "@pullring/testkit";

import type { ClusterNode } from "../real/cluster-node.ts";
import { type Cluster, startCluster } from "../real/cluster.ts";
import { spools } from "../real/disk.ts";
import { pull } from "../real/http.ts";
import { type Random, seededRandom } from "../real/random.ts";
import { act } from "../soak/client.ts";
import { type KillContent, makeContent } from "./cluster-kill-content.ts";
import {
  checkLedger,
  type DiskVerdict,
  type LedgerVerdict,
  lookAtDisks,
  lostContent,
  runJanitor,
} from "./cluster-kill-verdict.ts";

export interface ClusterKillOptions {
  /** For the ledgers of the nodes, which stay there. */
  readonly dir: string;
  readonly kills: number;
  readonly seed: number;
  readonly clients: number;
  /** Every so many kills a blob above 64 MiB is asked for, which goes up to S3 in parts; 0 = never. */
  readonly bigEvery: number;
  readonly onProgress?: (line: string) => void;
}

export interface ClusterKillReport {
  readonly kills: number;
  /** Fills that were running where a node was killed. */
  readonly fillsCut: number;
  /** How requests of clients ended. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Responses that ended well with wrong bytes, and bytes for whom they are not. */
  readonly wrong: readonly string[];
  readonly lost: readonly string[];
  readonly disks: DiskVerdict;
  /** Uploads in parts that killed nodes left in the bucket, and what the janitor left of them. */
  readonly uploads: { readonly left: number; readonly leaked: number };
  readonly ledger: LedgerVerdict;
}

interface Run {
  readonly options: ClusterKillOptions;
  readonly cluster: Cluster;
  readonly s3: S3Double;
  readonly content: KillContent;
  readonly random: Random;
  readonly over: AbortController;
  readonly outcomes: Record<string, number>;
  readonly wrong: string[];
  /** Nodes that are being killed, or started again. */
  readonly busy: Set<ClusterNode>;
  fillsCut: number;
  kills: number;
}

const account = { username: "ci", password: randomBytes(12).toString("hex"), repositories: ["acme/**"] };
const bucket = {
  bucket: "kills",
  region: "us-east-1",
  forcePathStyle: true,
  accessKeyId: "kills",
  secretAccessKey: randomBytes(12).toString("hex"),
};
/** A fill of 2 MB takes a quarter of a second. */
const responseBytesPerSec = 8_000_000;
/** Between two requests of a client: the kills are to be met by fills, not by a machine without time for anything. */
const thinkMsMax = 60;
/** At the same time; the nodes that are left are a cluster still. */
const killersMax = 2;
const pauseMsMax = 400;
const startsMax = 3;

const startNodes = (s3: S3Double, { seed, dir }: ClusterKillOptions): Promise<Cluster> =>
  startCluster({
    nodes: 5,
    balancer: "none",
    hub: {
      seed,
      responseBytesPerSec,
      anonymousLimit: Number.MAX_SAFE_INTEGER,
      accounts: [{ ...account, plan: "paid" }],
    },
    config: ({ id }) => ({
      ledger: { path: join(dir, id) },
      accounts: [{ name: "ci", upstream: "docker.io", ...account }],
      storage: { s3: { ...bucket, endpoint: s3.endpoint }, disk: { size: "1GiB" } },
    }),
  });

/** One of many: asks some node for something until everything is over. */
async function client(run: Run, random: Random): Promise<void> {
  const count = (outcome: string): void => void (run.outcomes[outcome] = (run.outcomes[outcome] ?? 0) + 1);
  while (!run.over.signal.aborted) {
    await sleep(random.below(thinkMsMax));
    const node = random.pick(run.cluster.nodes);
    if (random.below(12) === 0) {
      await askAsStranger(run, node);
      count("stranger");
      continue;
    }
    const { what, outcome, detail = "" } = await act({ pullring: node.pullring, content: run.content, random });
    count(outcome);
    // Upstream sends nothing wrong here: not even what is not verified yet may be wrong.
    if (outcome === "wrong" || outcome === "unverified") run.wrong.push(`${what}: ${detail}`);
  }
}

/** Asks for an account's bytes under a repository that does not have them. */
async function askAsStranger({ content: { linked }, wrong }: Run, { url }: ClusterNode): Promise<void> {
  if (!linked) return;
  const answer = await pull(`${url}/v2/acme/elsewhere/blobs/${linked.digest}`).catch(() => undefined);
  if (answer?.status === 200) wrong.push(`${linked.digest} was served under acme/elsewhere`);
}

/** What nobody asks for any more goes from the bucket, as it is in the memory of this process. */
function grow({ content, random, s3 }: Run, isBig: boolean): void {
  for (const { digest } of content.add({ random, isBig })) {
    const isOf = (key: string): boolean => key.endsWith(digest.slice(digest.indexOf(":") + 1));
    for (const key of [...s3.objects.keys()].filter(isOf)) s3.objects.delete(key);
  }
}

/** A machine that is busy with other things may need longer than a start is waited for. */
async function startAgain(node: ClusterNode): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await node.start();
    } catch (error) {
      if (tries === startsMax) throw error;
    }
  }
}

/** Kills nodes one after the other, each in the middle of whatever it does, and starts them again. */
async function killer(run: Run): Promise<void> {
  const { options, cluster, random, busy } = run;
  while (run.kills < options.kills) {
    run.kills += 1;
    const isBig = options.bigEvery > 0 && run.kills % options.bigEvery === 0;
    grow(run, isBig);
    await sleep(random.below(pauseMsMax));
    const node = random.pick(cluster.nodes.filter((one) => !busy.has(one)));
    busy.add(node);
    await node.kill();
    run.fillsCut += (await spools(node.pullring.disk)).length;
    await startAgain(node);
    busy.delete(node);
    if (run.kills % 25 === 0)
      options.onProgress?.(`${run.kills} kills, ${run.fillsCut} fills cut, ${run.wrong.length} wrong`);
  }
}

async function load(run: Run): Promise<void> {
  const { clients, seed } = run.options;
  const asking = Array.from({ length: clients }, (_, index) => client(run, seededRandom(seed * 1000 + index)));
  try {
    await Promise.all(Array.from({ length: killersMax }, () => killer(run)));
  } finally {
    run.over.abort();
    await Promise.all(asking);
  }
}

/** Random nodes of five are killed under load and started again, again and again; then a look at everything that they left. */
export async function clusterKills(options: ClusterKillOptions): Promise<ClusterKillReport> {
  await using stack = new AsyncDisposableStack();
  const s3 = await startS3Double();
  stack.defer(() => s3.close());
  const cluster = stack.use(await startNodes(s3, options));
  const random = seededRandom(options.seed);
  const content = makeContent(cluster.hub);
  const shared = { options, cluster, s3, content, random, over: new AbortController(), busy: new Set<ClusterNode>() };
  const run: Run = { ...shared, outcomes: {}, wrong: [], fillsCut: 0, kills: 0 };
  grow(run, false);
  await load(run);
  await cluster.converged(30_000);
  const lost = await lostContent(cluster, content);
  const left = s3.uploads.size;
  await Promise.all(cluster.nodes.map((node) => node.stop()));
  const disks = await lookAtDisks(cluster);
  const leaked = await runJanitor(s3, bucket);
  const ledgers = cluster.nodes.map(({ id }) => join(options.dir, id));
  const { kills, fillsCut, outcomes, wrong } = run;
  return {
    kills,
    fillsCut,
    outcomes,
    wrong,
    lost,
    disks,
    uploads: { left, leaked },
    ledger: await checkLedger(ledgers, kills),
  };
}
