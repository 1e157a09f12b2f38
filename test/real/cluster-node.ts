import { join } from "node:path";

import { ask } from "@pullring/testkit";

import { freePort } from "./listening.ts";
import { type Pullring, startPullring } from "./pullring.ts";

type Section = Readonly<Record<string, unknown>>;

/** Where a node is; the same for its whole life, restarts and all. */
export interface NodePlace {
  readonly id: string;
  /** `127.0.0.1:port`: for clients, and what the balancer and the ring call it. */
  readonly host: string;
  readonly adminHost: string;
  readonly peerHost: string;
  /** Configuration, log and disk. */
  readonly dir: string;
}

/** `GET /admin/v1/ring`, the part that tests look at. */
export interface RingView {
  readonly epoch: string;
  readonly self: string;
  readonly nodes: readonly {
    readonly id: string;
    readonly state: "joining" | "active" | "leaving";
    readonly share: number;
    readonly benched: boolean;
  }[];
}

export interface ClusterNode extends NodePlace {
  readonly url: string;
  readonly adminUrl: string;
  /** What changes by its admin API want. */
  readonly adminToken: string;
  /** The process that runs now, or ran last. */
  readonly pullring: Pullring;
  readonly isRunning: boolean;
  /** Drained, and not taken back in. */
  readonly isDrained: boolean;
  /** A process on the disk and the addresses that the last one had. Rejects, as `stop` and `kill` do, when that one had ended by itself. */
  start(): Promise<void>;
  /** SIGTERM, and waits for its end. */
  stop(): Promise<void>;
  /** SIGKILL, and waits for its end. */
  kill(): Promise<void>;
  /** SIGSTOP: the kernel still accepts connections, and nobody answers them. */
  freeze(): void;
  thaw(): void;
  /** Out of the ring, at the node's own admin API; it serves on. */
  drain(): Promise<void>;
  undrain(): Promise<void>;
  ring(): Promise<RingView>;
}

export async function placeNode(id: string, dir: string): Promise<NodePlace> {
  const [host, adminHost, peerHost] = [await freePort(), await freePort(), await freePort()].map(
    (port) => `127.0.0.1:${port}`,
  ) as [string, string, string];
  return { id, host, adminHost, peerHost, dir: join(dir, id) };
}

const logCharsMax = 4000;

/** Nobody stops a node in a way that makes it fail. */
async function endsWell(id: string, pullring: Pullring): Promise<void> {
  const { code, signal } = await pullring.ended;
  if (code === 0 || signal === "SIGKILL" || signal === "SIGTERM") return;
  throw new Error(`${id} ended by itself (${code ?? signal}); its log: …${pullring.logs().slice(-logCharsMax)}`);
}

/** A node that runs and is ready. */
export async function startNode(place: NodePlace, config: Section, adminToken: string): Promise<ClusterNode> {
  const start = (): Promise<Pullring> => startPullring({ ...place, config });
  const adminUrl = `http://${place.adminHost}`;
  let pullring = await start();
  let isDrained = false;

  async function setDrain(method: "POST" | "DELETE"): Promise<void> {
    const headers = { authorization: `Bearer ${adminToken}` };
    const { status, body } = await ask(`${adminUrl}/admin/v1/nodes/self/drain`, { method, headers });
    if (status !== 200) throw new Error(`${place.id} answers ${status}: ${body.toString()}`);
    isDrained = method === "POST";
  }

  return {
    ...place,
    url: `http://${place.host}`,
    adminUrl,
    adminToken,
    get pullring() {
      return pullring;
    },
    get isRunning() {
      return pullring.isRunning;
    },
    get isDrained() {
      return isDrained;
    },
    async start() {
      await pullring.stop();
      await endsWell(place.id, pullring);
      isDrained = false;
      pullring = await start();
    },
    async stop() {
      pullring.kill("SIGCONT");
      await pullring.stop();
      await endsWell(place.id, pullring);
    },
    async kill() {
      pullring.kill("SIGKILL");
      await endsWell(place.id, pullring);
    },
    freeze: () => pullring.kill("SIGSTOP"),
    thaw: () => pullring.kill("SIGCONT"),
    drain: () => setDrain("POST"),
    undrain: () => setDrain("DELETE"),
    async ring() {
      const { status, body } = await ask(`${adminUrl}/admin/v1/ring`);
      if (status !== 200) throw new Error(`${place.id} answers ${status}: ${body.toString()}`);
      return JSON.parse(body.toString()) as RingView;
    },
  };
}
