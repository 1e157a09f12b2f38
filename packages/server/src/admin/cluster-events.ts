import type { Clock, NodeId } from "@pullring/core";

import { AdminProblem } from "./admin-problem.ts";
import type { Outlet } from "./call.ts";
import { eventsTold, type NodeEvent, type SentWords } from "./event-answers.ts";
import type { EventFeed } from "./event-feed.ts";
import { eventLimits as limits } from "./event-limits.ts";
import type { EventsView, RingView } from "./ports.ts";

export interface ClusterEventsOptions {
  readonly feed: EventFeed;
  readonly ring: RingView;
  readonly clock: Clock;
  /** What the node tells since the cursor; rejects when it can't be asked. */
  readonly ask: (node: NodeId, cursor: string) => Promise<unknown>;
}

interface Listener {
  readonly out: Outlet;
  readonly selfOnly: boolean;
}

/** Events of the whole cluster, for those who listen at this node; the others are asked only while somebody does. */
export class ClusterEvents implements EventsView {
  readonly #options: ClusterEventsOptions;
  readonly #listeners = new Set<Listener>();
  readonly #closing = new AbortController();
  readonly #cursors = new Map<NodeId, string>();
  #missing: readonly NodeId[] = [];
  #asking: Promise<void> | undefined;

  constructor(options: ClusterEventsOptions) {
    this.#options = options;
  }

  open(selfOnly: boolean): (out: Outlet) => Promise<void> {
    if (this.#listeners.size >= limits.listenersMax)
      throw new AdminProblem(429, "as many as may are listening to events", 10);
    return (out) => this.#serve({ out, selfOnly });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#asking, this.#options.feed.close()]);
  }

  /** Resolves when the listener has gone, or was dropped. */
  async #serve(listener: Listener): Promise<void> {
    const { feed, ring } = this.#options;
    const { out, selfOnly } = listener;
    const { promise, resolve } = Promise.withResolvers<void>();
    out.signal.addEventListener("abort", () => resolve(), { once: true });
    this.#listeners.add(listener);
    const end = feed.listen((event) => this.#send(listener, ring.self, event));
    try {
      if (!selfOnly) {
        await this.#tellOthers(listener);
        this.#asking ??= this.#askOn().finally(() => (this.#asking = undefined));
      }
      if (!out.signal.aborted) await promise;
    } finally {
      end();
      this.#listeners.delete(listener);
    }
  }

  /** How things stand elsewhere, for one who comes while the others are asked for what is new only. */
  async #tellOthers(listener: Listener): Promise<void> {
    const told = this.#others().map(async (node) => {
      const { events } = eventsTold.parse(await this.#options.ask(node, ""));
      for (const event of events) this.#send(listener, node, event);
    });
    const outcomes = await Promise.allSettled(told);
    const missing = this.#others().filter((_, index) => outcomes[index]?.status === "rejected");
    if (missing.length > 0) this.#send(listener, this.#options.ring.self, this.#now({ kind: "missing", missing }));
  }

  async #askOn(): Promise<void> {
    const { clock } = this.#options;
    const isWanted = (): boolean =>
      !this.#closing.signal.aborted && [...this.#listeners].some(({ selfOnly }) => !selfOnly);
    while (isWanted()) {
      const others = this.#others();
      const reached = await Promise.all(others.map((node) => this.#askOne(node)));
      if (!isWanted()) break;
      this.#noteMissing(others.filter((_, index) => !reached[index]));
      await clock.sleep(limits.askEveryMs, this.#closing.signal).catch(() => {});
    }
    this.#cursors.clear();
    this.#missing = [];
  }

  async #askOne(node: NodeId): Promise<boolean> {
    try {
      const { cursor, events } = eventsTold.parse(await this.#options.ask(node, this.#cursors.get(node) ?? ""));
      this.#cursors.set(node, cursor);
      for (const event of events) this.#sendAll(node, event);
      return true;
    } catch {
      return false;
    }
  }

  #noteMissing(missing: readonly NodeId[]): void {
    if (missing.join() === this.#missing.join()) return;
    this.#missing = missing;
    this.#sendAll(this.#options.ring.self, this.#now({ kind: "missing", missing: [...missing] }));
  }

  #others(): readonly NodeId[] {
    const { ring } = this.#options;
    return ring.nodes().flatMap(({ id }) => (id === ring.self ? [] : [id]));
  }

  #sendAll(node: NodeId, event: Sent): void {
    for (const listener of this.#listeners) if (!listener.selfOnly) this.#send(listener, node, event);
  }

  #send({ out }: Listener, node: NodeId, event: Sent): void {
    if (out.signal.aborted) return;
    if (out.pendingBytes > limits.pendingBytesMax) return out.cut();
    void out.write(`event: ${event.kind}\ndata: ${JSON.stringify({ node, ...event })}\n\n`);
  }

  #now(words: Extract<SentWords, { kind: "missing" }>): Sent {
    return { ...words, at: new Date(this.#options.clock.now()).toISOString() };
  }
}

type Sent = NodeEvent | (Extract<SentWords, { kind: "missing" }> & { readonly at: string });
