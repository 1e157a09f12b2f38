import { Breaker } from "./breaker.ts";
import { type Client, openClient } from "./client.ts";
import { type Fitness, fitnessOf } from "./fitness.ts";
import { Hints, type OnMessage } from "./hints.ts";
import { Link } from "./link.ts";
import type { RedisOptions } from "./options.ts";
import type { Script } from "./script.ts";
import { RedisUnavailable, refusalOf } from "./unavailable.ts";
import { within } from "./within.ts";
import { redisLimits as limits } from "../limits.ts";

/** Redis as this node sees it. It may be away at any time, also at the start: nothing here rejects with another error for that. */
export interface Redis {
  /** With the prefix. */
  key(suffix: string): string;
  /**
   * Rejects with RedisUnavailable: within 250 ms, and at once while Redis is known to be away. Keys of one script share a hash tag.
   * What was sent is never sent a second time.
   */
  run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>;
  /** A channel is named in full, by `key`. Any message may be lost. Returns how to end it. */
  subscribe(channel: string, onMessage: OnMessage): () => void;
  state(): { readonly up: boolean; readonly reason?: string };
  /** What does harm in the server's set-up, as of the last connection. */
  warnings(): readonly string[];
  close(): Promise<void>;
}

interface Refused {
  readonly script: Script;
  readonly reason: string;
  readonly atMs: number;
}

class RedisLink implements Redis {
  readonly #options: RedisOptions;
  readonly #link: Link;
  readonly #breaker: Breaker;
  readonly #hints: Hints;
  readonly #saidAtMs = new Map<string, number>();
  #warnings: readonly string[] = [];
  #refused: Refused | undefined;
  #wasUp: boolean | undefined;
  #isClosed = false;

  constructor(options: RedisOptions) {
    this.#options = options;
    const { clock, random } = options;
    this.#breaker = new Breaker({ clock, probe: () => this.#ping(this.#link.client) });
    this.#hints = new Hints({
      clock,
      random,
      open: (attempt) => openClient(options, attempt, true),
      keepAlive: (client, gone) => void this.#keepAlive(client, gone),
    });
    this.#link = new Link({
      clock,
      random,
      open: (attempt) => openClient(options, attempt, false),
      check: async (client) => this.#take(await fitnessOf(client)),
      onUp: (client, gone) => this.#up(client, gone),
      onDown: (reason) => this.#down(reason),
    });
  }

  key(suffix: string): string {
    return `${this.#options.prefix}:${suffix}`;
  }

  async run(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    if (this.#breaker.isOpen) throw new RedisUnavailable("it left several commands without an answer");
    const sent: { to?: Client } = {};
    const late = (): RedisUnavailable => {
      if (sent.to) this.#breaker.failed();
      return new RedisUnavailable(`no answer within ${limits.commandMs} ms`, { mayHaveRun: sent.to !== undefined });
    };
    const order = [keys.length, ...keys, ...args];
    const answer = await within(
      { clock: this.#options.clock, ms: limits.commandMs, late },
      this.#send(script, order, sent),
    );
    this.#breaker.answered();
    if (this.#refused?.script === script) this.#refused = undefined;
    return answer;
  }

  subscribe(channel: string, onMessage: OnMessage): () => void {
    return this.#hints.subscribe(channel, onMessage);
  }

  state(): { readonly up: boolean; readonly reason?: string } {
    if (!this.#link.client) return { up: false, reason: this.#link.reason };
    if (this.#breaker.isOpen) return { up: false, reason: "it left several commands without an answer" };
    const refused = this.#refused;
    if (refused && this.#options.clock.monotonic() - refused.atMs < limits.refusalShownMs)
      return { up: false, reason: refused.reason };
    return { up: true };
  }

  warnings(): readonly string[] {
    return this.#warnings;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#breaker.answered();
    await Promise.all([this.#link.close(), this.#hints.close()]);
  }

  async #send(script: Script, order: readonly (string | number)[], sent: { to?: Client }): Promise<unknown> {
    await this.#link.settled();
    const { client } = this.#link;
    if (!client) throw new RedisUnavailable(this.#link.reason);
    sent.to = client;
    try {
      return await client.call("evalsha", script.sha, ...order);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal?.retry !== "evaluate") throw this.#judged(error, script, client);
    }
    try {
      return await client.call("eval", script.lua, ...order);
    } catch (error) {
      throw this.#judged(error, script, client);
    }
  }

  #judged(error: unknown, script: Script, client: Client): RedisUnavailable {
    const refusal = refusalOf(error);
    if (!refusal)
      return new RedisUnavailable((error as Error).message, { mayHaveRun: !wasNotSent(error), cause: error });
    // It answers, so there is nothing to be spared by the breaker.
    this.#breaker.answered();
    const { reason } = refusal;
    this.#refused = { script, reason, atMs: this.#options.clock.monotonic() };
    this.#warn(refusal.code, { reason }, "redis refuses");
    if (refusal.isConnectionUseless) this.#link.drop(client, reason);
    return new RedisUnavailable(reason, { cause: error });
  }

  #take({ warnings, advice }: Fitness): void {
    this.#warnings = warnings;
    for (const warning of [...warnings, ...advice])
      this.#warn(warning, { warning }, "redis is not set up as it should be");
  }

  #warn(key: string, facts: object, message: string): void {
    const now = this.#options.clock.monotonic();
    if (now - (this.#saidAtMs.get(key) ?? -Infinity) < limits.sayAgainMs) return;
    this.#saidAtMs.set(key, now);
    this.#options.log.warn(facts, message);
  }

  #up(client: Client, gone: AbortSignal): void {
    this.#breaker.answered();
    this.#refused = undefined;
    if (this.#wasUp !== true) this.#options.log.info({}, "redis is there");
    this.#wasUp = true;
    void this.#keepAlive(client, gone);
  }

  #down(reason: string): void {
    if (this.#wasUp !== false && !this.#isClosed)
      this.#options.log.warn({ reason }, "redis is away; going on without it");
    this.#wasUp = false;
  }

  /** What is silent, the client closes by itself; without a question it would not know. */
  async #keepAlive(client: Client, gone: AbortSignal): Promise<void> {
    while (!gone.aborted) {
      // Aborted: there is no connection to be kept.
      await this.#options.clock.sleep(limits.pingMs, gone).catch(() => {});
      if (!gone.aborted) await this.#ping(client).catch(() => {});
    }
  }

  async #ping(client: Client | undefined): Promise<void> {
    const late = (): Error => new Error("no answer to a ping");
    const { clock } = this.#options;
    if (client) await within({ clock, ms: limits.commandMs, late }, client.call("ping"));
    else throw new Error("not connected");
  }
}

/** ioredis' own words for a connection that was found closed before anything was written to it. */
const wasNotSent = (error: unknown): boolean =>
  (error as Error).message.includes("enableOfflineQueue options is false");

/** Connects by itself, now and whenever it has to. Throws for an address that is none. */
export const openRedis = (options: RedisOptions): Redis => new RedisLink(options);
