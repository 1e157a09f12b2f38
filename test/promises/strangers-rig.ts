import { once } from "node:events";
import { get as httpGet } from "node:http";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type Hub, type S3Double, startS3Double } from "@pullring/testkit";

import { type Cluster, startCluster } from "../real/cluster.ts";
import { startRedis } from "../real/redis.ts";

/** All that nobody but its owner may see; each is found by its own text wherever it turns up. */
export const secrets = {
  account: "canary-account-5f0c4d",
  bucket: "canary-bucket-91b2e7",
  peers: "canary-peers-c83a15",
  admin: "canary-admin-07d6f4",
  redis: "canary-redis-e4419b",
  client: "ci-pass",
  /** bcrypt at the least cost, of the client's password. */
  clientHash: "$2b$04$qPac1k953NAtr9W5.pypvebk8iE4ZUyV1CHZ/hVEKgV.Xduu6Z7Gm",
} as const;

export const asClient = { authorization: `Basic ${Buffer.from(`ci:${secrets.client}`).toString("base64")}` };

/** A connection's bytes in either direction, as they went by. */
export interface Recording {
  readonly requests: Buffer[];
  readonly answers: Buffer[];
}

export interface Recorder extends AsyncDisposable {
  readonly port: number;
  /** Where the bytes go; a test sets it before anybody comes. */
  target: { host: string; port: number };
  readonly recordings: readonly Recording[];
}

export async function startRecorder(): Promise<Recorder> {
  const recordings: Recording[] = [];
  const open = new Set<Socket>();
  const recorder = { target: { host: "", port: 0 } };
  const server = createServer((client) => {
    const peer = connect(recorder.target);
    const recording: Recording = { requests: [], answers: [] };
    recordings.push(recording);
    for (const socket of [client, peer]) {
      open.add(socket);
      // Whichever ends takes the other with it.
      socket.on("error", () => {});
      socket.on("close", () => {
        open.delete(socket);
        client.destroy();
        peer.destroy();
      });
    }
    client.on("data", (chunk) => void (recording.requests.push(chunk), peer.write(chunk)));
    peer.on("data", (chunk) => void (recording.answers.push(chunk), client.write(chunk)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(recorder, {
    port: (server.address() as AddressInfo).port,
    recordings,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

/** RESP, so that values may hold anything. */
const encode = (words: readonly string[]): string =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;

/** One command by somebody who knows the password; its reply as Redis wrote it. */
export async function askRedis(port: number, ...words: readonly string[]): Promise<string> {
  const end = "the-end-of-this-reply";
  const socket = connect({ port, host: "127.0.0.1" });
  socket.setTimeout(5_000, () => socket.destroy(new Error(`no answer to ${words[0]}`)));
  socket.write(encode(["AUTH", secrets.redis]) + encode(words) + encode(["ECHO", end]));
  let text = "";
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    text += chunk.toString();
    if (text.includes(end)) break;
  }
  const reply = text.slice("+OK\r\n".length, text.lastIndexOf("$"));
  if (reply.startsWith("-")) throw new Error(`${words[0]}: ${reply}`);
  return reply;
}

/** Everything that Redis is told from now on. */
async function monitor(port: number, stack: AsyncDisposableStack): Promise<() => string> {
  const socket = connect({ port, host: "127.0.0.1" });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk)).on("error", () => {});
  stack.defer(() => void socket.destroy());
  socket.write(encode(["AUTH", secrets.redis]) + encode(["MONITOR"]));
  await once(socket, "data");
  return () => Buffer.concat(chunks).toString("latin1");
}

/** What a stream that never ends tells from now on. */
async function follow(url: string, stack: AsyncDisposableStack): Promise<() => string> {
  const chunks: Buffer[] = [];
  const request = httpGet(url, { agent: false });
  stack.defer(() => void request.destroy());
  const [response] = (await once(request, "response")) as [NodeJS.ReadableStream & { statusCode?: number }];
  if (response.statusCode !== 200) throw new Error(`${url} answers ${response.statusCode}`);
  // Cut at the end of the test.
  response.on("data", (chunk: Buffer) => chunks.push(chunk)).on("error", () => {});
  request.on("error", () => {});
  return () => Buffer.concat(chunks).toString();
}

/** Somebody's own server: takes what comes, and answers all of it with bytes of his own, as a peer would. */
export interface Stranger {
  readonly url: string;
  readonly connections: () => number;
  readonly heard: () => string;
}

export const evilBytes = Buffer.from("these bytes are somebody else's");

export async function startStranger(host: string, stack: AsyncDisposableStack): Promise<Stranger> {
  const chunks: Buffer[] = [];
  const open = new Set<Socket>();
  let connections = 0;
  const facts = JSON.stringify({ from: "evil", epoch: "0", boot: "x", timeMs: 1, access: "public", state: "whole" });
  const server = createServer((socket) => {
    connections += 1;
    open.add(socket);
    socket.on("error", () => {}).on("close", () => open.delete(socket));
    socket.on("data", (chunk) => {
      chunks.push(chunk);
      const head = `HTTP/1.1 200 OK\r\nContent-Length: ${evilBytes.length}\r\npullring-peer-answer: ${facts}\r\n`;
      socket.write(`${head}pullring-peer-mac: ${"A".repeat(43)}\r\n\r\n${evilBytes.toString()}`);
    });
  });
  server.listen(0, host);
  await once(server, "listening");
  stack.defer(async () => {
    for (const socket of open) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    url: `http://${host}:${(server.address() as AddressInfo).port}`,
    connections: () => connections,
    heard: () => Buffer.concat(chunks).toString("latin1"),
  };
}

export interface StrangersRig extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly hub: Hub;
  readonly s3: S3Double;
  readonly redisPort: number;
  readonly monitored: () => string;
  /** By node: its admin API's stream of events. */
  readonly events: readonly (() => string)[];
  /** By node: in front of its peer port. */
  readonly recorders: readonly Recorder[];
}

/** Three nodes with everything that has a secret, whose peer traffic and whose Redis somebody listens to. */
export async function startStrangersRig(): Promise<StrangersRig> {
  await using starting = new AsyncDisposableStack();
  const redis = starting.use(await startRedis({ conf: [`requirepass ${secrets.redis}`] }));
  const monitored = await monitor(redis.port, starting);
  const s3 = await startS3Double({ secret: secrets.bucket });
  starting.defer(() => s3.close());
  const recorders = [await startRecorder(), await startRecorder(), await startRecorder()];
  for (const recorder of recorders) starting.use(recorder);
  const { path: dir } = starting.use(await mkdtempDisposable(join(tmpdir(), "pullring-strangers-")));
  const htpasswdFile = join(dir, "htpasswd");
  await writeFile(htpasswdFile, `ci:${secrets.clientHash}\n`);
  const login = { username: "acme-ci", password: secrets.account };
  const account = { ...login, repositories: ["acme/**"] };
  const cluster = starting.use(
    await startCluster({
      balancer: "none",
      members: redis,
      hub: { accounts: [account], anonymousLimit: undefined },
      config: ({ id, peerHost }) => {
        const recorder = recorders[Number(id.slice(1)) - 1]!;
        recorder.target = { host: "127.0.0.1", port: Number(peerHost.split(":")[1]) };
        const url = `http://127.0.0.1:${recorder.port}`;
        return {
          accounts: [{ name: "acme", upstream: "docker.io", ...account }],
          admin: { token: secrets.admin },
          clients: {
            auth: { htpasswdFile },
            rules: [{ match: "docker.io/acme/**", users: ["ci"] }],
          },
          cluster: {
            redis: { password: secrets.redis },
            peer: { url, allow: ["127.0.0.1/32"], secretFile: undefined, secret: secrets.peers },
          },
          storage: { s3: bucketOf(s3) },
          log: { level: "trace" },
        };
      },
    }),
  );
  const streams = cluster.nodes.map(({ adminUrl }) => follow(`${adminUrl}/admin/v1/events`, starting));
  const events = await Promise.all(streams);
  const parts = starting.move();
  const rig = { cluster, hub: cluster.hub, s3, redisPort: redis.port, monitored, events, recorders };
  return { ...rig, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

const bucketOf = ({ endpoint }: S3Double): object => ({
  bucket: "images",
  endpoint,
  region: "us-east-1",
  forcePathStyle: true,
  accessKeyId: "pullring",
  secretAccessKey: secrets.bucket,
});
