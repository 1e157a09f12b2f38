import { createHash } from "node:crypto";
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

import { type ImageDescriptor, mediaTypes } from "@pullring/testkit";

import type { Cluster } from "../real/cluster.ts";
import { type Random, seededRandom } from "../real/random.ts";

/** One request for what is cached already, through the balancer. */
export interface Hit {
  /** When it was sent, and how long its answer took to begin. */
  readonly atMs: number;
  readonly firstByteMs: number;
  /** Of an answer that was none, or was wrong. */
  readonly problem?: string;
}

/** One image that nobody had before, pulled through every entry at once. */
export interface ColdPull {
  readonly repository: string;
  readonly atMs: number;
  readonly tookMs: number;
  readonly problem?: string;
}

export interface LoadOptions {
  readonly cluster: Pick<Cluster, "hub" | "url">;
  /** Through which cold images are pulled, beside the balancer. */
  readonly entries: readonly string[];
  readonly hitsPerSec: number;
  readonly coldEveryMs: number;
  /** Told of each cold image before anybody pulls it. */
  readonly onCold?: (repository: string, image: ImageDescriptor) => void;
}

export interface Load {
  readonly hits: readonly Hit[];
  /** The balancer's own answers, which no node takes part in: how busy this machine was. */
  readonly references: readonly Hit[];
  readonly colds: readonly ColdPull[];
  /** Upstream GETs beyond one for each manifest and each blob: of the warm images since the start, and of these cold ones. */
  extraGets(colds: readonly ColdPull[]): number;
  /** Ends the load, and waits for what is under way. */
  stop(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly firstByteMs: number;
  readonly body: Buffer;
  readonly digest: string;
}

const warmImages = 12;
const layerBytes = 100_000;
/** A hit that forwards goes on to its owner is kept from the third time on. */
const warmRounds = 4;
const silenceMs = 20_000;
const referencesPerSec = 25;
const accept = [mediaTypes.ociIndex, mediaTypes.ociManifest].join(", ");
const blobGets = ["blob_get", "blob_range"] as const;

async function get(url: string, agent: Agent): Promise<Answer> {
  const sentMs = performance.now();
  const outgoing = request(url, { agent, headers: { accept } });
  outgoing.setTimeout(silenceMs, () => outgoing.destroy(new Error(`nothing for ${silenceMs} ms`)));
  outgoing.end();
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  const firstByteMs = performance.now() - sentMs;
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const digest = `sha256:${createHash("sha256").update(body).digest("hex")}`;
  return { status: response.statusCode ?? 0, firstByteMs, body, digest };
}

interface Wanted {
  readonly path: string;
  readonly digest: string;
}

const manifestOf = (repository: string, reference: string): string => `/v2/${repository}/manifests/${reference}`;
const blobOf = (repository: string, digest: string): string => `/v2/${repository}/blobs/${digest}`;

/** As a client pulls: the tag, then all that its manifest names. */
const partsOf = (repository: string, image: ImageDescriptor): readonly Wanted[] => [
  { path: manifestOf(repository, "1"), digest: image.digest },
  ...[image.config, ...image.layers].map(({ digest }) => ({ path: blobOf(repository, digest), digest })),
];

async function getRight(base: string, { path, digest }: Wanted, agent: Agent): Promise<Answer> {
  const answer = await get(base + path, agent);
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${answer.body.toString().slice(0, 200)}`);
  if (answer.digest !== digest) throw new Error(`${path}: wrong bytes, ${answer.body.length} of them`);
  return answer;
}

/** Once more where it failed: that is what clients do. Wrong bytes are not to be had at all. */
async function getWithRetry(base: string, wanted: Wanted, agent: Agent): Promise<void> {
  try {
    await getRight(base, wanted, agent);
  } catch (error) {
    if (textOf(error).includes("wrong bytes")) throw error;
    await getRight(base, wanted, agent);
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Calls again and again at an even pace; what a stall of this process held up is left out, or it would come all at once. */
async function paced(everyMs: number, signal: AbortSignal, call: () => void): Promise<void> {
  for (let dueMs = performance.now(); !signal.aborted; dueMs = Math.max(dueMs + everyMs, performance.now())) {
    // Aborted: the load ends.
    await sleep(Math.max(0, dueMs - performance.now()), undefined, { signal }).catch(() => {});
    if (!signal.aborted) call();
  }
}

/**
 * A steady load of hits (tags, manifests, blobs of 100 KB), its pace independent of the answers, and a trickle of cold images.
 * Resolves when everything that is to be hit is cached where the balancer will ask for it.
 */
export async function startLoad(options: LoadOptions): Promise<Load> {
  const { cluster, entries, hitsPerSec, coldEveryMs, onCold } = options;
  const { hub, url: base } = cluster;
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const ending = new AbortController();
  const random = seededRandom(1);
  const hits: Hit[] = [];
  const references: Hit[] = [];
  const colds: ColdPull[] = [];
  const running = new Set<Promise<void>>();
  const track = (work: Promise<void>): void => {
    running.add(work);
    void work.finally(() => running.delete(work));
  };
  const add = (repository: string): ImageDescriptor =>
    hub.content.addImage({ repository, tag: "1", layers: [layerBytes] });
  const warm = Array.from({ length: warmImages }, (_, index) => ({
    repository: `warm/${index}`,
    image: add(`warm/${index}`),
  }));
  const targets = warm.flatMap(({ repository, image }) => hitsOf(repository, image));
  for (let round = 0; round < warmRounds; round += 1)
    await Promise.all(targets.map((wanted) => getWithRetry(base, wanted, agent)));
  const isWarm = (repository: string | undefined): boolean => repository?.startsWith("warm/") === true;
  const warmGets = (): number =>
    hub.ledger.count(({ kind, repository }) => isWarm(repository) && ["manifest_get", ...blobGets].includes(kind));
  const warmedBy = warmGets();

  async function hit(wanted: Wanted): Promise<void> {
    const atMs = performance.now();
    try {
      const { firstByteMs } = await getRight(base, wanted, agent);
      hits.push({ atMs, firstByteMs });
    } catch (error) {
      hits.push({ atMs, firstByteMs: performance.now() - atMs, problem: textOf(error) });
    }
  }

  async function refer(): Promise<void> {
    const atMs = performance.now();
    const { firstByteMs } = await get(`${base}/livez`, agent);
    references.push({ atMs, firstByteMs });
  }

  async function cold(repository: string): Promise<void> {
    const atMs = performance.now();
    const image = add(repository);
    onCold?.(repository, image);
    try {
      await Promise.all(
        [base, ...entries].map(async (entry) => {
          for (const wanted of partsOf(repository, image)) await getWithRetry(entry, wanted, agent);
        }),
      );
      colds.push({ repository, atMs, tookMs: performance.now() - atMs });
    } catch (error) {
      colds.push({ repository, atMs, tookMs: performance.now() - atMs, problem: textOf(error) });
    }
  }

  let coldCount = 0;
  const paces = [
    paced(1_000 / hitsPerSec, ending.signal, () => track(hit(pickHit(random, targets)))),
    paced(1_000 / referencesPerSec, ending.signal, () => track(refer())),
    paced(coldEveryMs, ending.signal, () => track(cold(`cold/${(coldCount += 1)}`))),
  ];

  function extraOf({ repository }: ColdPull): number {
    const gets = hub.ledger.filter({ repository, kind: ["manifest_get", ...blobGets] });
    const wanted = new Set(gets.map(({ kind, reference }) => (kind === "manifest_get" ? kind : reference)));
    return gets.length - wanted.size;
  }

  return {
    hits,
    references,
    colds,
    extraGets: (of) => of.reduce((sum, each) => sum + extraOf(each), warmGets() - warmedBy),
    async stop() {
      ending.abort();
      await Promise.all(paces);
      await Promise.all(running);
      agent.destroy();
    },
  };
}

/** One of each five hits is a tag, one a manifest, the rest blobs. */
function hitsOf(repository: string, image: ImageDescriptor): readonly Wanted[] {
  const blobs = image.layers.map(({ digest }) => ({ path: blobOf(repository, digest), digest }));
  const { digest } = image;
  return [
    { path: manifestOf(repository, "1"), digest },
    { path: manifestOf(repository, digest), digest },
    ...blobs,
    ...blobs,
    ...blobs,
  ];
}

const pickHit = (random: Random, targets: readonly Wanted[]): Wanted => random.pick(targets);
