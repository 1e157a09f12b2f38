import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import type { ImageAt } from "./promises-http.ts";

/** `first` is the number of the first client: each has an address by its number. */
export type ClientOrder =
  | { readonly kind: "crowd"; readonly first: number; readonly clients: number; readonly image: ImageAt }
  | {
      readonly kind: "blob";
      readonly first: number;
      readonly clients: number;
      /** Client n asks the n-th, counted round. */
      readonly urls: readonly string[];
      readonly digest: string;
    }
  | {
      readonly kind: "pulls";
      readonly base: string;
      /** Repositories, each with a tag "1". */
      readonly images: readonly string[];
      readonly workers: number;
      /** Absent: as many as the workers can. */
      readonly perSec?: number;
    };

export interface ClientResult {
  /** Of clients, or pulls, that got all bytes and the right ones. */
  readonly right: number;
  /** Why the others did not; of pulls only after one more try. */
  readonly failures: readonly string[];
  readonly retried: number;
  readonly firstFailures: readonly string[];
  /** For each client, the longest time without a byte. */
  readonly stalledMs: readonly number[];
  readonly perSec: number;
  /** How long their process was held up at most, by its own work or by others. */
  readonly pausedMs: number;
}

export const emptyResult: ClientResult = {
  right: 0,
  failures: [],
  retried: 0,
  firstFailures: [],
  stalledMs: [],
  perSec: 0,
  pausedMs: 0,
};

export interface Clients extends AsyncDisposable {
  readonly result: Promise<ClientResult>;
  /** Pulls end with the one that runs. */
  end(): Promise<ClientResult>;
}

const program = fileURLToPath(new URL("promises-client.ts", import.meta.url));

/** Starts clients in a process of their own. */
export function startClients(order: ClientOrder): Clients {
  const child = fork(program, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const ended = once(child, "exit");
  const lost = ended.then(([code, signal]) => {
    throw new Error(`the clients ended: ${code ?? signal}`);
  });
  const result = Promise.race([once(child, "message"), lost]).then(([found]) => found as ClientResult);
  // Whoever waits for the result is told.
  result.catch(() => {});
  lost.catch(() => {});
  child.send(order);
  return {
    result,
    async end() {
      child.send("end");
      return result;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await ended;
    },
  };
}

export const together = (results: readonly ClientResult[]): ClientResult =>
  results.reduce((sum, next) => ({
    right: sum.right + next.right,
    failures: [...sum.failures, ...next.failures],
    retried: sum.retried + next.retried,
    firstFailures: [...sum.firstFailures, ...next.firstFailures],
    stalledMs: [...sum.stalledMs, ...next.stalledMs],
    perSec: sum.perSec + next.perSec,
    pausedMs: Math.max(sum.pausedMs, next.pausedMs),
  }));

/** The same texts counted, the most frequent first. */
export function tallied(texts: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  const sorted = [...counts].sort(([, a], [, b]) => b - a).slice(0, 5);
  return sorted.map(([text, count]) => `${count} × ${text}`).join("; ");
}
