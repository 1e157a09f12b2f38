import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

import { mediaTypes } from "@pullring/testkit";

export interface Target {
  readonly path: string;
  /** Bytes of the body; another size fails the run. */
  readonly size: number;
}

export interface Load {
  /** Of a server on 127.0.0.1. */
  readonly port: number;
  /** Connection n asks for target n, counted round. */
  readonly targets: readonly Target[];
  readonly connections: number;
  /** Asks again and again for so long; absent = every connection asks once, and all are waited for. */
  readonly forMs?: number;
}

export interface Measured {
  readonly seconds: number;
  /** Heads and bodies, those of unfinished responses too. */
  readonly bytes: number;
  /** Finished ones; the times are theirs, ascending, since each one's request. */
  readonly responses: number;
  readonly firstByteMs: readonly number[];
  readonly lastByteMs: readonly number[];
}

/** Sent with every request: docker-registry serves a manifest only to those who name its type. */
export const accept = mediaTypes.ociManifest;

const client = fileURLToPath(new URL("load.ts", import.meta.url));

/** Runs the load client in a process of its own. */
export async function runLoad(load: Load): Promise<Measured> {
  const child = spawn(process.execPath, [client, JSON.stringify(load)], { stdio: ["ignore", "pipe", "inherit"] });
  const [printed, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  if (code !== 0) throw new Error(`the load client failed on ${JSON.stringify(load)}`);
  return JSON.parse(printed) as Measured;
}
