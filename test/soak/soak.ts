import { setTimeout as sleep } from "node:timers/promises";

import { eventually, type Hub, startHub } from "@pullring/testkit";

import { keptFiles, spools, wrongFiles } from "../real/disk.ts";
import { pull } from "../real/http.ts";
import { asDockerHub, type Pullring, startPullring } from "../real/pullring.ts";
import { type Random, seededRandom } from "../real/random.ts";
import { act, type Deed } from "./client.ts";
import { fillHub, type SoakContent } from "./content.ts";
import { addFault } from "./faults.ts";
import { makeTally, type Tally } from "./tally.ts";

export interface SoakOptions {
  readonly dir: string;
  readonly durationMs: number;
  readonly clients: number;
  readonly seed: number;
}

export interface Verdict {
  readonly problems: readonly string[];
  readonly text: string;
}

interface Run {
  readonly hub: Hub;
  readonly content: SoakContent;
  readonly random: Random;
  readonly tally: Tally;
  readonly dir: string;
  readonly signal: AbortSignal;
  /** The node as it is now, or will be in a moment. */
  node: Promise<Pullring>;
}

const faultEveryMs = 250;
const killEveryMs = 30_000;
const watchEveryMs = 2000;
/** Less than the content, so that eviction goes on all the time. */
const diskSize = "60MiB";
/** After the last fault: by then every pause has ended, the quarantine of wrong bytes (60 s) being the longest. */
const recoveryMs = 90_000;

const startNode = (dir: string, hub: Hub): Promise<Pullring> =>
  startPullring({
    dir,
    config: { upstreams: asDockerHub(hub), storage: { memory: "32MiB", disk: { size: diskSize } } },
  });

/** Does something again and again until the time is over. */
async function every(ms: number, signal: AbortSignal, deed: () => void | Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await sleep(ms, undefined, { signal }).catch(() => {});
    if (!signal.aborted) await deed();
  }
}

async function client(run: Run, random: Random): Promise<void> {
  while (!run.signal.aborted) {
    const pullring = await run.node;
    const deed: Deed = await act({ pullring, content: run.content, random });
    run.tally.count(deed);
    // A node that has just been killed is replaced by the loop that killed it.
    if (deed.outcome === "down") await sleep(20);
  }
}

/** Kills the node in the middle of whatever it does, looks at its disk, starts it again. */
async function kill(run: Run): Promise<void> {
  const pullring = await run.node;
  const { promise, resolve, reject } = Promise.withResolvers<Pullring>();
  run.node = promise;
  pullring.kill("SIGKILL");
  await pullring.ended;
  run.tally.kills++;
  run.tally.files(wrongFiles(await keptFiles(pullring.disk)));
  const startedAt = performance.now();
  startNode(run.dir, run.hub).then(resolve, reject);
  const started = await promise;
  run.tally.restarted(performance.now() - startedAt, await spools(started.disk));
}

async function watch({ hub, node, tally }: Run): Promise<void> {
  tally.rss((await node).rssBytes());
  tally.upstream(hub.ledger.filter({ done: true }));
  hub.ledger.clear();
}

/** With nothing going wrong any more, everything can be pulled again. */
async function recover({ node, content, tally, hub }: Run): Promise<void> {
  hub.faults.clear();
  const { url, disk } = await node;
  for (const { repository, digest } of content.blobs) {
    const isServed = async (): Promise<boolean> => {
      const answer = await pull(`${url}/v2/${repository}/blobs/${digest}`).catch(() => undefined);
      return answer?.status === 200 && answer.digest === digest;
    };
    await eventually(isServed, { timeoutMs: recoveryMs, intervalMs: 500 }).catch(() =>
      tally.problem(`${repository} ${digest} is not served after the faults have ended`),
    );
  }
  tally.files(wrongFiles(await keptFiles(disk)));
}

/** Faults, clients and kills at random for a while, then a look at what is left. */
export async function soak({ dir, durationMs, clients, seed }: SoakOptions): Promise<Verdict> {
  const random = seededRandom(seed);
  const hub = await startHub({ seed, anonymousLimit: Number.MAX_SAFE_INTEGER, bandwidthBytesPerSec: 200_000_000 });
  const signal = AbortSignal.timeout(durationMs);
  const content = fillHub(hub, random);
  const run: Run = { hub, content, random, tally: makeTally(), dir, signal, node: startNode(dir, hub) };
  try {
    await Promise.all([
      every(faultEveryMs, signal, () => addFault(hub, random)),
      every(killEveryMs, signal, () => kill(run)),
      every(watchEveryMs, signal, () => watch(run)),
      ...Array.from({ length: clients }, (_, index) => client(run, seededRandom(seed * 1000 + index))),
    ]);
    const endedAt = performance.now();
    await recover(run);
    run.tally.recovered(performance.now() - endedAt);
    await watch(run);
    return run.tally.verdict();
  } finally {
    await (await run.node).stop();
    await hub.close();
  }
}
