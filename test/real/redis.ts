import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { eventually } from "@pullring/testkit";

import type { Certificates } from "./certificates.ts";
import { freePort } from "./listening.ts";
import { needs } from "./needs.ts";
import { type Program, startProgram } from "./program.ts";

export interface RedisServerOptions {
  /** Lines of redis.conf that go last. */
  readonly conf?: readonly string[];
  /** The port speaks TLS only, and wants no client certificate. */
  readonly tls?: Certificates;
  /** Port of the primary to copy. */
  readonly replicaOf?: number;
}

export interface RedisServer extends AsyncDisposable {
  readonly port: number;
  /** Of this server, without a login. */
  readonly url: string;
  readonly pid: number;
  /** Sends one inline command by a connection of its own, and gives the first bytes of its reply; not over TLS. */
  ask(command: string): Promise<string>;
  /** SIGKILL, and waits for its end; data that is not on disk is gone. */
  kill(): Promise<void>;
  /** On the port it had; empty unless `conf` says otherwise. */
  restart(): Promise<void>;
  /** SIGSTOP: the kernel still accepts connections, and nobody answers them. */
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

export interface Sentinels extends AsyncDisposable {
  /** Of the sentinels, on 127.0.0.1. */
  readonly ports: readonly number[];
  readonly name: string;
  /** The first is the primary at the start. */
  readonly servers: readonly RedisServer[];
  readonly sentinels: readonly RedisServer[];
  /** Who the first living sentinel says is the primary. */
  primaryPort(): Promise<number | undefined>;
  stop(): Promise<void>;
}

export const needsRedis = (): string | false => needs("redis-server");
export const needsSentinels = (): string | false => needs("redis-server", "redis-sentinel");

interface Start {
  readonly command: "redis-server" | "redis-sentinel";
  readonly port: number;
  readonly dir: string;
  readonly lines: readonly string[];
  readonly isTls?: boolean;
  /** After it has stopped for good. */
  readonly clear?: () => Promise<void>;
}

/** One inline command and the first bytes that answer it. */
function askOnce(port: number, command: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = createConnection({ port, host: "127.0.0.1" }, () => socket.write(`${command}\r\n`));
  socket.setTimeout(2_000, () => socket.destroy(new Error(`no answer to ${command}`)));
  socket.once("error", reject);
  socket.once("close", () => reject(new Error(`closed without an answer to ${command}`)));
  socket.once("data", (bytes) => {
    resolve(bytes.toString());
    socket.destroy();
  });
  return promise;
}

async function startServer(start: Start): Promise<RedisServer> {
  const { command, port, dir, lines, isTls = false, clear } = start;
  const file = join(dir, `${command}-${port}.conf`);
  const own = isTls ? ["port 0", `tls-port ${port}`] : [`port ${port}`];
  const conf = ["bind 127.0.0.1", ...own, `dir ${dir}`, "daemonize no", ...lines];

  async function run(): Promise<Program> {
    await writeFile(file, `${conf.join("\n")}\n`);
    const logFile = join(dir, `${port}.log`);
    const started = startProgram({ command, args: [file], logFile });
    const answers = async (): Promise<boolean> => {
      if (!started.isRunning) throw new Error(`${command} ended:\n${started.logs()}`);
      if (isTls) return started.logs().includes("Ready to accept connections");
      // One that loads, or wants a password, is there.
      return (await askOnce(port, "PING").catch(() => "")) !== "";
    };
    await eventually(answers, { timeoutMs: 10_000, intervalMs: 10 });
    return started;
  }

  let program = await run();
  const end = async (): Promise<void> => {
    program.kill("SIGCONT");
    await program.stop();
  };
  const stop = async (): Promise<void> => {
    await end();
    await clear?.();
  };
  return {
    port,
    url: `${isTls ? "rediss" : "redis"}://127.0.0.1:${port}`,
    get pid() {
      return program.pid;
    },
    ask: (text) => askOnce(port, text),
    async kill() {
      program.kill("SIGKILL");
      await program.ended;
    },
    async restart() {
      await end();
      program = await run();
    },
    freeze: () => program.kill("SIGSTOP"),
    thaw: () => program.kill("SIGCONT"),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

const inMemory = ['save ""', "appendonly no", "maxmemory-policy noeviction"];

const tlsLines = ({ ca, cert, key }: Certificates): readonly string[] => [
  `tls-ca-cert-file ${ca}`,
  `tls-cert-file ${cert}`,
  `tls-key-file ${key}`,
  "tls-auth-clients no",
];

/** redis-server on loopback that keeps nothing on disk. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const { conf = [], tls, replicaOf } = options;
  const dir = await mkdtemp(join(tmpdir(), "pullring-redis-"));
  const copy = replicaOf === undefined ? [] : [`replicaof 127.0.0.1 ${replicaOf}`, "repl-diskless-sync-delay 0"];
  const lines = [...inMemory, ...copy, ...(tls ? tlsLines(tls) : []), ...conf];
  const clear = (): Promise<void> => rm(dir, { recursive: true, force: true });
  try {
    const isTls = tls !== undefined;
    return await startServer({ command: "redis-server", port: await freePort(), dir, lines, isTls, clear });
  } catch (error) {
    await clear();
    throw error;
  }
}

export interface SentinelsOptions {
  /** Lines for each redis-server, and for each sentinel. */
  readonly conf?: readonly string[];
  readonly sentinelConf?: readonly string[];
}

const primaryName = "pullring";

/** Three redis-servers, one of them the primary, and three sentinels that promote another within about two seconds. */
export async function startSentinels(options: SentinelsOptions = {}): Promise<Sentinels> {
  const { conf = [], sentinelConf = [] } = options;
  const dir = await mkdtemp(join(tmpdir(), "pullring-sentinel-"));
  const started: RedisServer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(started.map((server) => server.stop()));
    await rm(dir, { recursive: true, force: true });
  };
  const keep = async (promise: Promise<RedisServer>): Promise<RedisServer> => {
    const server = await promise;
    started.push(server);
    return server;
  };
  try {
    const fast = ["repl-diskless-sync-delay 0", ...conf];
    const primary = await keep(startRedis({ conf: fast }));
    const copies = [0, 1].map(() => keep(startRedis({ conf: fast, replicaOf: primary.port })));
    const servers = [primary, ...(await Promise.all(copies))];
    await eventually(async () => (await primary.ask("INFO replication")).includes("connected_slaves:2"), {
      timeoutMs: 15_000,
      intervalMs: 25,
    });
    const lines = [
      `sentinel monitor ${primaryName} 127.0.0.1 ${primary.port} 2`,
      `sentinel down-after-milliseconds ${primaryName} 500`,
      `sentinel failover-timeout ${primaryName} 3000`,
      ...sentinelConf,
    ];
    const one = async (): Promise<RedisServer> =>
      keep(startServer({ command: "redis-sentinel", port: await freePort(), dir, lines }));
    const sentinels = [await one(), await one(), await one()];
    const rig = { name: primaryName, ports: sentinels.map(({ port }) => port), servers, sentinels };
    await eventually(() => knowEachOther(sentinels), { timeoutMs: 15_000, intervalMs: 50 });
    return { ...rig, primaryPort: () => primaryOf(sentinels), stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A sentinel finds replicas by the primary's INFO and its peers by messages on the primary; only then it can promote one. */
async function knowEachOther(sentinels: readonly RedisServer[]): Promise<boolean> {
  const answers = await Promise.all(sentinels.map((sentinel) => sentinel.ask("INFO sentinel").catch(() => "")));
  return answers.every((answer) => answer.includes("slaves=2,sentinels=3"));
}

async function primaryOf(sentinels: readonly RedisServer[]): Promise<number | undefined> {
  for (const sentinel of sentinels) {
    const answer = await sentinel.ask(`SENTINEL get-master-addr-by-name ${primaryName}`).catch(() => "");
    const port = /\r\n(\d+)\r\n$/.exec(answer)?.[1];
    if (port !== undefined) return Number(port);
  }
  return undefined;
}

/** A Redis Cluster of primaries without replicas, with the slots spread evenly. */
export async function startRedisCluster(size: number): Promise<readonly RedisServer[]> {
  const busPorts = await Promise.all(Array.from({ length: size }, () => freePort()));
  const nodes = await Promise.all(
    busPorts.map((port) =>
      startRedis({ conf: ["cluster-enabled yes", "cluster-config-file nodes.conf", `cluster-port ${port}`] }),
    ),
  );
  const slots = 16_384;
  const [first] = nodes;
  for (const [index, node] of nodes.entries()) {
    const [from, to] = [index, index + 1].map((part) => Math.floor((slots * part) / size)) as [number, number];
    await node.ask(`CLUSTER ADDSLOTSRANGE ${from} ${to - 1}`);
    if (index > 0) await first?.ask(`CLUSTER MEET 127.0.0.1 ${node.port} ${busPorts[index]}`);
  }
  const agree = async (): Promise<boolean> => {
    const infos = await Promise.all(nodes.map((node) => node.ask("CLUSTER INFO")));
    return infos.every((info) => info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${size}`));
  };
  await eventually(agree, { timeoutMs: 15_000, intervalMs: 50 });
  return nodes;
}
