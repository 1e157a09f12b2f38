// `npm run demo`: what Pullring is for, in half a minute: the same 30 clients pull the same image from a stand-in for Docker Hub, by themselves and then
// through three nodes; then the stand-in goes away. Redis and nginx take part where they are installed.
import { createHash } from "node:crypto";

import { type Hub, mediaTypes } from "../packages/testkit/src/index.ts";
import { type Cluster, needsCluster, startCluster } from "../test/real/cluster.ts";

const clients = 30;
/** So that the quota is gone before all have pulled: each pull is two manifests, the index's and the platform's. */
const quota = 40;
const mebibyte = 1024 * 1024;
const repository = "acme/app";
const accept = [mediaTypes.ociIndex, mediaTypes.ociManifest].join(", ");

interface Descriptor {
  readonly digest: string;
}

interface Index {
  readonly manifests: readonly (Descriptor & { platform: { architecture: string } })[];
}

interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

type Get = (path: string) => Promise<Buffer>;

interface Outcome {
  readonly pulled: number;
  /** What the others were told, in the words of the first. */
  readonly refusal: string | undefined;
  readonly bytes: number;
  readonly ms: number;
}

/** Asks one registry, with the headers that it wants, and takes nothing but 200. */
function getFrom(base: string, headers: Readonly<Record<string, string>>): Get {
  return async (path) => {
    const answer = await fetch(`${base}/v2/${repository}/${path}`, { headers: { accept, ...headers } });
    const body = Buffer.from(await answer.arrayBuffer());
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.statusText}`);
    return body;
  };
}

/** As container tools pull: the index, the manifest of one platform, then config and layers, each checked. Resolves to their bytes. */
async function pull(get: Get): Promise<number> {
  let bytes = 0;
  const checked = async (kind: "manifests" | "blobs", { digest }: Descriptor): Promise<Buffer> => {
    const body = await get(`${kind}/${digest}`);
    bytes += body.length;
    if (`sha256:${createHash("sha256").update(body).digest("hex")}` !== digest) throw new Error("wrong bytes");
    return body;
  };
  const { manifests } = JSON.parse((await get("manifests/1")).toString()) as Index;
  const own = manifests.find(({ platform }) => platform.architecture === "amd64");
  if (!own) throw new Error("not for this platform");
  const { config, layers } = JSON.parse((await checked("manifests", own)).toString()) as Manifest;
  for (const blob of [config, ...layers]) await checked("blobs", blob);
  return bytes;
}

async function everybody(getOf: (client: number) => Promise<Get>): Promise<Outcome> {
  const start = performance.now();
  const pulls = await Promise.allSettled(
    Array.from({ length: clients }, async (_, client) => pull(await getOf(client))),
  );
  const refused = pulls.find((one) => one.status === "rejected");
  return {
    pulled: pulls.filter(({ status }) => status === "fulfilled").length,
    refusal: refused && (refused.reason instanceof Error ? refused.reason.message : String(refused.reason)),
    bytes: pulls.reduce((sum, one) => sum + (one.status === "fulfilled" ? one.value : 0), 0),
    ms: performance.now() - start,
  };
}

/** A client without Pullring: a token of its own, then the registry. */
async function directly(hub: Hub): Promise<Get> {
  const answer = await fetch(`${hub.tokenOrigin}/token?service=registry.docker.io&scope=repository:${repository}:pull`);
  const { token } = (await answer.json()) as { token: string };
  return getFrom(hub.url, { authorization: `Bearer ${token}` });
}

/** What the stand-in saw since the last time. */
function seenBy({ ledger }: Hub): string {
  const manifests = ledger.filter({ counted: true }).length;
  const blobs = ledger.count({ kind: ["cdn_get", "cdn_range"] });
  const bytes = ledger.entries.reduce((sum, { bytesSent }) => sum + bytesSent, 0);
  ledger.clear();
  return `${manifests} counted requests, ${blobs} blobs, ${(bytes / mebibyte).toFixed(0)} MiB`;
}

const rowOf = (what: string, { pulled, refusal, ms }: Outcome, upstream: string): string =>
  [
    `${what.padEnd(24)} ${`${pulled} of ${clients}`.padEnd(9)} ${`${(ms / 1000).toFixed(1)} s`.padStart(6)}   ${upstream}`,
    ...(refusal === undefined ? [] : [`${" ".repeat(24)} the others got ${refusal}`]),
  ].join("\n");

const say = (text: string): void => void process.stdout.write(`${text}\n`);

async function show(cluster: Cluster, isWhole: boolean): Promise<boolean> {
  const { hub } = cluster;
  const layers = [4 * mebibyte, 2 * mebibyte, mebibyte, 100_000];
  hub.content.addIndex({ repository, tag: "1", platforms: ["linux/amd64", "linux/arm64"], layers });
  const bases = isWhole ? [cluster.url] : cluster.nodes.map(({ url }) => url);
  const through = async (client: number): Promise<Get> => getFrom(bases[client % bases.length] ?? "", {});

  say(`\n${clients} clients pull the same image at once; the stand-in allows ${quota} counted requests.\n`);
  say(`${"".padEnd(24)} pulled      time   what Docker Hub saw`);
  const alone = await everybody(() => directly(hub));
  say(rowOf("by themselves", alone, seenBy(hub)));
  hub.quota.reset();
  const cold = await everybody(through);
  say(rowOf("through Pullring", cold, seenBy(hub)));
  await hub.close();
  const gone = await everybody(through);
  say(rowOf("Docker Hub gone", gone, "nothing"));
  return cold.pulled === clients && gone.pulled === clients;
}

async function main(): Promise<void> {
  const isWhole = needsCluster() === false;
  const parts = isWhole
    ? "three nodes, Redis, nginx"
    : "three nodes (without Redis and nginx, which are not installed)";
  say(`starts ${parts} and a stand-in for Docker Hub …`);
  await using cluster = await startCluster({
    nodes: 3,
    hub: { anonymousLimit: quota },
    ...(isWhole ? {} : { members: "list", balancer: "none" }),
    // The tag is asked for again after the stand-in has gone, so that its answer shows what a stale one is worth.
    config: { tags: { fresh: "1s" } },
  });
  if (!(await show(cluster, isWhole))) throw new Error("not everybody could pull through Pullring");
  say(`\nThe same by hand: npm run cluster. One node: npm start.`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
