import type { Client } from "./client.ts";
import { Link, type LinkOptions } from "./link.ts";

export type OnMessage = (message: string) => void;

export interface HintsOptions extends Pick<LinkOptions, "clock" | "random"> {
  readonly open: LinkOptions["open"];
  readonly keepAlive: (client: Client, gone: AbortSignal) => void;
}

/** Messages on channels, over a connection of their own that is made when the first is wanted. Any message may be lost. */
export class Hints {
  readonly #options: HintsOptions;
  readonly #listeners = new Map<string, Set<OnMessage>>();
  #link: Link | undefined;
  #isClosed = false;

  constructor(options: HintsOptions) {
    this.#options = options;
  }

  subscribe(channel: string, onMessage: OnMessage): () => void {
    const all = this.#listeners.get(channel);
    if (all) all.add(onMessage);
    else {
      this.#listeners.set(channel, new Set([onMessage]));
      this.#send("subscribe", channel);
    }
    if (!this.#isClosed) this.#link ??= this.#makeLink();
    return () => this.#leave(channel, onMessage);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#link?.close();
  }

  #leave(channel: string, onMessage: OnMessage): void {
    const all = this.#listeners.get(channel);
    if (!all?.delete(onMessage) || all.size > 0) return;
    this.#listeners.delete(channel);
    this.#send("unsubscribe", channel);
  }

  /** One that fails ends with its connection, and the next one subscribes to all. */
  #send(command: "subscribe" | "unsubscribe", ...channels: readonly string[]): void {
    const client = this.#link?.client;
    client?.call(command, ...channels).catch((error: Error) => this.#link?.drop(client, error.message));
  }

  #makeLink(): Link {
    const { clock, random, open, keepAlive } = this.#options;
    return new Link({
      clock,
      random,
      open,
      check: () => Promise.resolve(),
      onUp: (client, gone) => {
        client.on("message", (channel: string, message: string) => {
          for (const onMessage of this.#listeners.get(channel) ?? []) onMessage(message);
        });
        if (this.#listeners.size > 0) this.#send("subscribe", ...this.#listeners.keys());
        keepAlive(client, gone);
      },
      onDown: () => {},
    });
  }
}
