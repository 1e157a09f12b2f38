import { randomBytes } from "node:crypto";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { eventually, type Hub, type HubOptions, startHub } from "@pullring/testkit";

import { type Balancer, type BalancerKind, startBalancer } from "./balancer.ts";
import { type ClusterNode, type NodePlace, placeNode, type RingView, startNode } from "./cluster-node.ts";
import { needs } from "./needs.ts";
import { asDockerHub } from "./pullring.ts";
import { needsRedis, type RedisServer, startRedis } from "./redis.ts";
import { needsS3, type S3Server, startS3 } from "./s3.ts";

type Section = Readonly<Record<string, unknown>>;

export interface ClusterOptions {
  /** Default 3. */
  readonly nodes?: number;
  readonly hub?: HubOptions;
  /** How nodes find each other: by a Redis of their own (the default), by one that was started elsewhere, or by a list. */
  readonly members?: "redis" | "list" | Pick<RedisServer, "url">;
  /** Whether they share a bucket. Default no. */
  readonly s3?: boolean;
  /** Default "ring"; "none" leaves it out. */
  readonly balancer?: BalancerKind | "none";
  /** Goes over what each node's configuration is otherwise, section by section. */
  readonly config?: Section | ((place: NodePlace) => Section);
}

/** A hub and the topology of `deploy/compose`, as processes on loopback. */
export interface Cluster extends AsyncDisposable {
  /** Docker Hub to the nodes; in this process. */
  readonly hub: Hub;
  readonly redis: RedisServer | undefined;
  readonly s3: S3Server | undefined;
  /** Throws where the cluster was started without one. */
  readonly balancer: Balancer;
  /** The balancer's, or the first node's where there is none. */
  readonly url: string;
  /** Every node that was started and not removed, running or not. */
  readonly nodes: readonly ClusterNode[];
  readonly dir: string;
  /** Of every node's admin API. */
  readonly adminToken: string;
  /** A further node, and its line at the balancer. Not with a list of members, which is fixed. */
  add(): Promise<ClusterNode>;
  /** Drains a node, takes its line from the balancer and stops it. */
  remove(node: ClusterNode): Promise<void>;
  /** Resolves when all running nodes have the same ring, of themselves and nobody else, the drained ones left out. */
  converged(timeoutMs?: number): Promise<void>;
  stop(): Promise<void>;
}

/** For a suite's `skip`. */
export const needsCluster = (options: Pick<ClusterOptions, "s3"> = {}): string | false =>
  needsRedis() || needs("nginx") || (options.s3 === true && needsS3());

interface Setup {
  readonly options: ClusterOptions;
  readonly dir: string;
  readonly hub: Hub;
  readonly redis: RedisServer | undefined;
  readonly redisUrl: string | undefined;
  readonly s3: S3Server | undefined;
  readonly adminToken: string;
  readonly secretFile: string;
  /** Of the nodes that there are from the start. */
  readonly places: readonly NodePlace[];
}

/** As `deploy/compose` configures its nodes. */
function configOf(setup: Setup, place: NodePlace): Section {
  const { options, hub, redisUrl, s3, adminToken, secretFile, places } = setup;
  const members = places.map(({ id, peerHost, host }) => ({ id, url: `http://${peerHost}`, ringName: host }));
  const own = typeof options.config === "function" ? options.config(place) : (options.config ?? {});
  const bucket = s3 && {
    bucket: s3.bucket,
    endpoint: s3.endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    accessKeyId: s3.accessKeyId,
    secretAccessKey: s3.secretAccessKey,
  };
  const sections: Section = {
    node: { id: place.id, ringName: place.host },
    upstreams: asDockerHub(hub),
    admin: { token: adminToken },
    // The balancer; without this all clients together would have the bounds of one.
    clients: { trustedProxies: ["127.0.0.1"] },
    storage: bucket ? { s3: bucket } : {},
    cluster: {
      ...(redisUrl === undefined ? { members } : { redis: { url: redisUrl } }),
      peer: { listen: place.peerHost, url: `http://${place.peerHost}`, secretFile },
    },
  };
  return over(sections, own);
}

const isSection = (value: unknown): value is Section =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Sections merge, all else replaces. */
function over(base: Section, top: Section): Section {
  const merged = Object.entries(top).map(([key, value]) => {
    const below = base[key];
    return [key, isSection(below) && isSection(value) ? over(below, value) : value] as const;
  });
  return { ...base, ...Object.fromEntries(merged) };
}

async function setUp(stack: AsyncDisposableStack, options: ClusterOptions): Promise<Setup> {
  const { nodes: count = 3, members = "redis" } = options;
  const dir = stack.use(await mkdtempDisposable(join(tmpdir(), "pullring-cluster-"))).path;
  const hub = await startHub(options.hub ?? {});
  stack.defer(() => hub.close());
  const redis = members === "redis" ? stack.use(await startRedis()) : undefined;
  const s3 = options.s3 === true ? stack.use(await startS3({ mayShare: true })) : undefined;
  const secretFile = join(dir, "peer-secret");
  await writeFile(secretFile, randomBytes(32).toString("hex"), { mode: 0o600 });
  const places = await Promise.all(idsTo(count).map((id) => placeNode(id, dir)));
  return {
    options,
    dir,
    hub,
    redis,
    redisUrl: redis?.url ?? (typeof members === "object" ? members.url : undefined),
    s3,
    adminToken: randomBytes(16).toString("hex"),
    secretFile,
    places,
  };
}

const idsTo = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `n${index + 1}`);

/** Whether a node's view is the ring of these nodes and of nobody else. */
const isRingOf = (view: RingView, ids: ReadonlySet<string>): boolean => {
  const active = view.nodes.filter(({ state }) => state === "active").map(({ id }) => id);
  return active.length === ids.size && active.every((id) => ids.has(id));
};

class RunningCluster implements Cluster {
  readonly hub: Hub;
  readonly redis: RedisServer | undefined;
  readonly s3: S3Server | undefined;
  readonly dir: string;
  readonly adminToken: string;
  nodes: readonly ClusterNode[] = [];
  readonly #setup: Setup;
  readonly #isListed: boolean;
  #parts: AsyncDisposableStack;
  #balancer: Balancer | undefined;
  #numbered: number;

  constructor(setup: Setup, parts: AsyncDisposableStack) {
    ({ hub: this.hub, redis: this.redis, s3: this.s3, dir: this.dir, adminToken: this.adminToken } = setup);
    this.#setup = setup;
    this.#isListed = setup.options.members === "list";
    this.#parts = parts;
    this.#numbered = setup.places.length;
    // Their disks go with them, so there is nothing to hand over.
    parts.defer(async () => void (await Promise.all(this.nodes.map((node) => node.kill()))));
  }

  async open(): Promise<void> {
    const started = await Promise.allSettled(this.#setup.places.map((place) => this.#begin(place)));
    this.nodes = started.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    const failed = started.find((result) => result.status === "rejected");
    if (failed) throw failed.reason;
    const { balancer: kind = "ring" } = this.#setup.options;
    if (kind !== "none") {
      const dir = join(this.dir, "balancer");
      this.#balancer = this.#parts.use(await startBalancer({ dir, kind, servers: this.#servers() }));
    }
    await this.converged();
  }

  keep(parts: AsyncDisposableStack): void {
    this.#parts = parts;
  }

  get balancer(): Balancer {
    if (!this.#balancer) throw new Error("this cluster has no balancer");
    return this.#balancer;
  }

  get url(): string {
    return this.#balancer?.url ?? this.nodes[0]?.url ?? "";
  }

  async add(): Promise<ClusterNode> {
    if (this.#isListed) throw new Error("a list of members is fixed");
    this.#numbered += 1;
    const node = await this.#begin(await placeNode(`n${this.#numbered}`, this.dir));
    this.nodes = [...this.nodes, node];
    await this.#balancer?.setServers(this.#servers());
    return node;
  }

  async remove(node: ClusterNode): Promise<void> {
    await node.drain();
    this.nodes = this.nodes.filter((other) => other !== node);
    await this.#balancer?.setServers(this.#servers());
    await node.stop();
  }

  async converged(timeoutMs = 15_000): Promise<void> {
    await eventually(() => this.#isConverged().catch(() => false), { timeoutMs, intervalMs: 25 });
  }

  stop(): Promise<void> {
    return this.#parts.disposeAsync();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #begin(place: NodePlace): Promise<ClusterNode> {
    return startNode(place, configOf(this.#setup, place), this.#setup.adminToken);
  }

  readonly #servers = (): readonly string[] => this.nodes.map(({ host }) => host);

  async #isConverged(): Promise<boolean> {
    const running = this.nodes.filter(({ isRunning }) => isRunning);
    const views = await Promise.all(running.map((node) => node.ring()));
    const inRing = this.#isListed ? this.nodes : running.filter(({ isDrained }) => !isDrained);
    const ids = new Set(inRing.map(({ id }) => id));
    return new Set(views.map(({ epoch }) => epoch)).size === 1 && views.every((view) => isRingOf(view, ids));
  }
}

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  await using starting = new AsyncDisposableStack();
  const cluster = new RunningCluster(await setUp(starting, options), starting);
  await cluster.open();
  // What was started is the cluster's from now on.
  cluster.keep(starting.move());
  return cluster;
}
