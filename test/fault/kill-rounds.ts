import { type Descriptor, eventually, type Hub, startHub } from "@pullring/testkit";

import { type KeptFile, keptFiles, spools, wrongFiles } from "../real/disk.ts";
import { pull } from "../real/http.ts";
import { asDockerHub, type Pullring, startPullring } from "../real/pullring.ts";
import { type Random, seededRandom } from "../real/random.ts";

export interface KillOptions {
  /** Pullring's folder; it stays the same through all rounds. */
  readonly dir: string;
  readonly kills: number;
  readonly seed: number;
}

export interface KillReport {
  readonly kills: number;
  /** Fills that were running when the process was killed, for each kill. */
  readonly fillsCut: readonly number[];
  /** Files whose bytes are not what their name says, in any round, and responses that ended well with the wrong bytes. */
  readonly wrong: readonly string[];
  /** What was left in the spool folder after a start. */
  readonly leftovers: readonly string[];
  /** Files at final paths at the end. */
  readonly kept: number;
}

const repository = "library/kill";
const fills = 20;
/** A few end before the process does, so that there are final paths to look at. */
const smallFills = 5;
const smallBytes = 300_000;
const bigBytes = 4_000_000;
/** Half a second for a big one. */
const responseBytesPerSec = 8_000_000;
/** One client address may run 16 fills at once. */
const clientAddresses = ["127.0.0.1", "127.0.0.2"];

const fetched = (hub: Hub): number =>
  hub.ledger.filter({ kind: ["cdn_get", "blob_get"] }).reduce((sum, { bytesSent }) => sum + bytesSent, 0);

/** Asks for every blob at once. The answer is the names of those that ended well and are wrong. */
async function pullAll(pullring: Pullring, blobs: readonly Descriptor[]): Promise<string[]> {
  const results = await Promise.allSettled(
    blobs.map(({ digest }, index) => {
      const localAddress = clientAddresses[index % clientAddresses.length] ?? "127.0.0.1";
      return pull(`${pullring.url}/v2/${repository}/blobs/${digest}`, { localAddress });
    }),
  );
  return results.flatMap((result, index) => {
    const wanted = blobs[index]?.digest;
    const isWrong = result.status === "fulfilled" && result.value.status === 200 && result.value.digest !== wanted;
    return isWrong ? [`response ${wanted}`] : [];
  });
}

const describeWrong = (kept: readonly KeptFile[]): string[] =>
  wrongFiles(kept).map(({ name, digest }) => `file ${name} holds ${digest}`);

/** A response may end before its file has reached its final path; after a while none may be missing. */
async function missingFiles({ disk }: Pullring, blobs: readonly Descriptor[]): Promise<string[]> {
  const missing = async (): Promise<string[]> => {
    const names = new Set((await keptFiles(disk)).map(({ name }) => name));
    return blobs.filter(({ digest }) => !names.has(digest)).map(({ digest }) => `no file ${digest}`);
  };
  await eventually(async () => (await missing()).length === 0, { intervalMs: 100 }).catch(() => {});
  return missing();
}

/** Starts, lets fills run to a point that the seed says, kills. */
async function round(hub: Hub, { dir, random }: { dir: string; random: Random }) {
  hub.ledger.clear();
  await using pullring = await startPullring({
    dir,
    config: { upstreams: asDockerHub(hub), storage: { disk: { size: "300MiB" } } },
  });
  const leftovers = await spools(pullring.disk);
  const blobs = Array.from({ length: fills }, (_, index) =>
    hub.content.addBlob({ repository, size: index < smallFills ? smallBytes : bigBytes }),
  );
  const total = blobs.reduce((sum, { size }) => sum + size, 0);
  const killAt = total * (0.1 + 0.8 * random.next());
  const pulls = pullAll(pullring, blobs);
  await eventually(() => hub.ledger.count({ kind: "cdn_get" }) === fills && fetched(hub) >= killAt, {
    timeoutMs: 20_000,
  });
  pullring.kill("SIGKILL");
  await pullring.ended;
  const fillsCut = (await spools(pullring.disk)).length;
  const wrong = [...(await pulls), ...describeWrong(await keptFiles(pullring.disk))];
  return { leftovers, fillsCut, wrong, blobs };
}

/**
 * A process that is killed by SIGKILL while it fills, again and again on the same disk; then it starts once more and serves
 * what the last round asked for.
 */
export async function killRounds({ dir, kills, seed }: KillOptions): Promise<KillReport> {
  const hub = await startHub({ seed, responseBytesPerSec, anonymousLimit: Number.MAX_SAFE_INTEGER });
  const random = seededRandom(seed);
  try {
    const rounds = [];
    for (let index = 0; index < kills; index++) rounds.push(await round(hub, { dir, random }));
    await using pullring = await startPullring({ dir, config: { upstreams: asDockerHub(hub) } });
    const leftovers = [...rounds.flatMap((one) => one.leftovers), ...(await spools(pullring.disk))];
    const blobs = rounds.at(-1)?.blobs ?? [];
    const served = await pullAll(pullring, blobs);
    const missing = await missingFiles(pullring, blobs);
    const kept = await keptFiles(pullring.disk);
    const wrong = [...rounds.flatMap((one) => one.wrong), ...served, ...describeWrong(kept), ...missing];
    return { kills, fillsCut: rounds.map((one) => one.fillsCut), wrong, leftovers, kept: kept.length };
  } finally {
    await hub.close();
  }
}
