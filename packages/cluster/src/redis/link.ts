import { once } from "node:events";

import type { Clock } from "@pullring/core";

import type { Client } from "./client.ts";
import { redisLimits as limits } from "../limits.ts";

export interface LinkOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** A client that connects now, and only once. */
  readonly open: (attempt: number) => Client;
  /** Rejects when the server can't be used as it is. */
  readonly check: (client: Client) => Promise<void>;
  /** `gone` is aborted when the client is of no use any more. */
  readonly onUp: (client: Client, gone: AbortSignal) => void;
  readonly onDown: (reason: string) => void;
}

/** One client at a time, replaced for as long as nobody closes the link. */
export class Link {
  readonly #options: LinkOptions;
  readonly #closing = new AbortController();
  readonly #ended: Promise<void>;
  #client: Client | undefined;
  #reason = "not connected yet";
  /** Until the next attempt has an outcome; a caller may wait for that after a connection has ended, but for one attempt only. */
  #outcome: PromiseWithResolvers<void> | undefined = Promise.withResolvers<void>();
  #dropped = new AbortController();

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#ended = this.#run();
  }

  /** What commands can be sent to now. */
  get client(): Client | undefined {
    return this.#client;
  }

  get reason(): string {
    return this.#reason;
  }

  /** Settles at once unless the first attempt since the start, or since a connection that held, is under way. */
  async settled(): Promise<void> {
    await this.#outcome?.promise;
  }

  /** The client is of no use any more; another one may be. */
  drop(client: Client, reason: string): void {
    if (client !== this.#client) return;
    this.#client = undefined;
    this.#dropped.abort(new Error(reason));
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error("closed"));
    this.#dropped.abort(new Error("closed"));
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    for (let attempt = 0, failures = 0; !signal.aborted; attempt += 1) {
      const heldMs = await this.#connectOnce(attempt);
      failures = heldMs === undefined ? failures + 1 : 0;
      if (heldMs !== undefined && heldMs >= limits.steadyMs) continue;
      this.#settle();
      // Aborted: the link is closed, and the loop ends.
      await clock.sleep(this.#pauseMs(failures), signal).catch(() => {});
    }
    this.#settle();
  }

  #settle(): void {
    this.#outcome?.resolve();
    this.#outcome = undefined;
  }

  #pauseMs(failures: number): number {
    const pause = Math.min(limits.retryMaxMs, limits.retryMinMs * 2 ** Math.min(failures, 8));
    return pause * (0.75 + this.#options.random() / 4);
  }

  /** How long the connection held, or undefined when there was none. Never rejects. */
  async #connectOnce(attempt: number): Promise<number | undefined> {
    const { clock, open, check, onUp, onDown } = this.#options;
    let client: Client | undefined;
    let upAtMs: number | undefined;
    try {
      client = open(attempt);
      const failure = failureOf(client);
      await this.#inTime(client, Promise.race([failure, ready(client).then(() => check(client as Client))]));
      upAtMs = clock.monotonic();
      this.#closing.signal.throwIfAborted();
      this.#dropped = new AbortController();
      this.#client = client;
      this.#settle();
      onUp(client, this.#dropped.signal);
      await Promise.race([failure, aborted(this.#dropped.signal)]);
    } catch (error) {
      this.#reason = (error as Error).message;
    }
    const heldMs = upAtMs === undefined ? undefined : clock.monotonic() - upAtMs;
    if (heldMs !== undefined && heldMs >= limits.steadyMs) this.#outcome ??= Promise.withResolvers();
    this.#client = undefined;
    this.#dropped.abort();
    client?.disconnect();
    onDown(this.#reason);
    return heldMs;
  }

  async #inTime(client: Client, work: Promise<void>): Promise<void> {
    const { clock } = this.#options;
    const done = new AbortController();
    const late = async (): Promise<never> => {
      await clock.sleep(limits.attemptMs, AbortSignal.any([done.signal, this.#closing.signal]));
      throw new Error(`no connection within ${limits.attemptMs} ms (${client.status})`);
    };
    const expiry = late();
    expiry.catch(() => {});
    work.catch(() => {});
    try {
      await Promise.race([work, expiry]);
    } finally {
      done.abort();
    }
  }
}

async function ready(client: Client): Promise<void> {
  if (client.status !== "ready") await once(client as NodeJS.EventEmitter, "ready", { signal: ended(client) });
}

/** Rejects when the client has ended, with what it was told last. */
function failureOf(client: Client): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  let last = new Error("the connection ended");
  client.on("error", (error: Error & { lastNodeError?: Error }) => {
    last = error.lastNodeError ?? error;
  });
  client.once("end", () => reject(last));
  promise.catch(() => {});
  return promise;
}

function ended(client: Client): AbortSignal {
  const controller = new AbortController();
  client.once("end", () => controller.abort());
  return controller.signal;
}

function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  promise.catch(() => {});
  return promise;
}
