import { once } from "node:events";
import { createServer } from "node:net";

import { ask, eventually } from "@pullring/testkit";

import type { Program } from "./program.ts";

/**
 * Below what Linux gives to connections that name no port, one of which could take a port before its program does; and from elsewhere
 * for each process, so that those that run side by side do not meet.
 */
const ports = { from: 10_000, count: 22_000, apart: 100 };
let asked = process.pid * ports.apart;

/** A loopback port that nobody has now, and that this process was not given before; for programs that can't be told to choose. */
export async function freePort(): Promise<number> {
  asked += 1;
  const port = ports.from + (asked % ports.count);
  const server = createServer().listen(port, "127.0.0.1");
  const isFree = await once(server, "listening").then(
    () => true,
    () => false,
  );
  if (!isFree) return await freePort();
  server.close();
  await once(server, "close");
  return port;
}

export interface ListeningOptions {
  readonly url: string;
  readonly ca?: string;
  /** What the answer must be; default anything below 500. */
  readonly isReady?: (status: number) => boolean;
  readonly timeoutMs?: number;
}

/** Waits until a program answers, and hands it back; one that ends or never answers fails with its log. */
export async function whenListening<P extends Program>(program: P, options: ListeningOptions): Promise<P> {
  const { url, ca, isReady = (status) => status < 500, timeoutMs = 40_000 } = options;
  const answers = async (): Promise<boolean> => {
    if (!program.isRunning) throw new Error("it ended");
    const answer = await ask(url, ca === undefined ? {} : { ca }).catch(() => undefined);
    return answer !== undefined && isReady(answer.status);
  };
  try {
    await eventually(answers, { timeoutMs, intervalMs: 20 });
    return program;
  } catch (cause) {
    await program.stop();
    throw new Error(`no answer from ${url}; its log:\n${program.logs()}`, { cause });
  }
}
