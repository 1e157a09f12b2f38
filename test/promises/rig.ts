import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type Hub, type HubOptions, startHub } from "@pullring/testkit";

import { asDockerHub, type Pullring, startPullring } from "../real/pullring.ts";

export interface RigOptions {
  readonly hub?: HubOptions;
  /** Without `upstreams` the hub is Docker Hub. */
  readonly config?: Config | ((hub: Hub, dir: string) => Config);
  /** Readies the process' folder; what it returns undoes that when the process has ended. */
  readonly prepare?: (dir: string) => Promise<() => Promise<unknown>>;
  /** What lies in the process' folder before it starts, by name. */
  readonly files?: Readonly<Record<string, string>>;
}

type Config = Readonly<Record<string, unknown>>;

/** A hub, and Pullring as a process of its own in front of it. */
export interface Rig extends AsyncDisposable {
  readonly hub: Hub;
  /** The process that runs now. */
  readonly pullring: Pullring;
  readonly dir: string;
  blob(repository: string, digest: string): string;
  manifest(repository: string, reference: string): string;
  /** Stops the process and starts one on the same disk. */
  restart(): Promise<void>;
}

/** What a blob must be, byte by byte. */
export function bytesOfBlob(hub: Hub, repository: string, digest: string): Buffer {
  const bytes = hub.content.find(repository)?.blobs.get(digest);
  if (bytes === undefined) throw new Error(`${repository} holds no blob ${digest}`);
  const whole = Buffer.alloc(bytes.size);
  bytes.copy(whole, 0);
  return whole;
}

/** A hub as an upstream of the configuration. */
export const reach = (hub: Pick<Hub, "url" | "tokenOrigin">) => ({
  url: hub.url,
  tokenOrigins: [hub.tokenOrigin],
  allowPrivateAddresses: true,
});

export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const { hub: hubOptions = {}, config = {}, files = {}, prepare } = options;
  const stack = new AsyncDisposableStack();
  const dir = stack.use(await mkdtempDisposable(join(tmpdir(), "pullring-promises-"))).path;
  for (const [name, text] of Object.entries(files)) await writeFile(join(dir, name), text);
  const undo = await prepare?.(dir);
  if (undo) stack.defer(async () => void (await undo()));
  const hub = await startHub(hubOptions);
  stack.defer(() => hub.close());
  const made = typeof config === "function" ? config(hub, dir) : config;
  const start = (): Promise<Pullring> => startPullring({ dir, config: { upstreams: asDockerHub(hub), ...made } });
  let pullring = await start();
  stack.defer(() => pullring.stop());
  return {
    hub,
    dir,
    get pullring() {
      return pullring;
    },
    blob: (repository, digest) => `${pullring.url}/v2/${repository}/blobs/${digest}`,
    manifest: (repository, reference) => `${pullring.url}/v2/${repository}/manifests/${reference}`,
    async restart() {
      await pullring.stop();
      pullring = await start();
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
