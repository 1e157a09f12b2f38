import type { Cache, CacheEvent, Clock } from "@pullring/core";

import type { EventWords, NodeEvent } from "./event-answers.ts";
import { eventLimits as limits } from "./event-limits.ts";
import { fillFacts } from "./fills-view.ts";
import type { FillFacts } from "./ports.ts";

type Fill = Pick<ReturnType<Cache["fills"]["list"]>[number], "digest" | "progress">;

/** What is looked at again and again while somebody listens. */
export interface EventSources {
  ring(): Pick<Extract<NodeEvent, { kind: "ring" }>, "epoch" | "nodes">;
  /** Whether this node has left the ring. */
  draining(): boolean;
  /** Why this node is less than it was set up to be. */
  reasons(): readonly string[];
  /** The fills that run, each the same object as long as it does. */
  fills(): readonly Fill[];
  counters(): Pick<Extract<NodeEvent, { kind: "counters" }>, "tiers" | "fills">;
}

export interface EventFeedOptions {
  readonly clock: Clock;
  /** Another one for each start. */
  readonly boot: string;
}

/**
 * What happens on this node, for those who listen here and for peers who ask again and again. While nobody does, nothing is looked at
 * and nothing is kept.
 */
export class EventFeed {
  readonly #clock: Clock;
  readonly #boot: string;
  readonly #listeners = new Set<(event: NodeEvent) => void>();
  readonly #closing = new AbortController();
  /** The newest events, each with its number. */
  #log: NodeEvent[] = [];
  #last = 0;
  #sources: EventSources | undefined;
  #wantedUntilMs = -Infinity;
  #looking: Promise<void> | undefined;
  #seen = { ring: "", draining: false, reasons: "", countersMs: -Infinity };
  /** Bytes of each fill when it was last told of; undefined once its end was. */
  readonly #fills = new Map<Fill, number | undefined>();

  constructor({ clock, boot }: EventFeedOptions) {
    this.#clock = clock;
    this.#boot = boot;
  }

  /** Once, when there is something to look at. */
  watch(sources: EventSources): void {
    this.#sources = sources;
  }

  /** What the cache tells of itself. */
  observe(event: CacheEvent): void {
    if (event.kind !== "fill_ended" || !this.#isWanted()) return;
    const { digest, state, bytes, kept } = event;
    const fill = this.#sources?.fills().find((each) => each.digest === digest && !this.#hasEnded(each));
    if (!fill) return;
    if (!this.#fills.has(fill)) this.tell({ kind: "fill_started", ...wordsOf(fill) });
    this.#fills.set(fill, undefined);
    this.tell({ kind: "fill_ended", digest, repository: wordsOf(fill).repository, bytes, state, kept });
  }

  tell(words: EventWords): void {
    if (!this.#isWanted()) return;
    const event: NodeEvent = { ...words, at: new Date(this.#clock.now()).toISOString() };
    this.#last += 1;
    this.#log.push(event);
    if (this.#log.length > limits.eventsKeptMax) this.#log.shift();
    for (const listener of this.#listeners) listener(event);
  }

  /** How things stand, and from then on each event, until the returned function is called. */
  listen(listener: (event: NodeEvent) => void): () => void {
    for (const event of this.#stand()) listener(event);
    this.#listeners.add(listener);
    this.#look();
    return () => void this.#listeners.delete(listener);
  }

  /** For a peer: what has happened since its cursor, or how things stand where that is too long ago or of another start. */
  since(cursor: string): { readonly cursor: string; readonly events: readonly NodeEvent[] } {
    const events = this.#after(cursor) ?? this.#stand();
    this.#wantedUntilMs = this.#clock.monotonic() + limits.peerInterestMs;
    this.#look();
    return { cursor: `${this.#boot}.${this.#last}`, events };
  }

  /** Those who listen are told what has changed until now: that this node leaves, mostly. */
  async close(): Promise<void> {
    if (this.#isWanted() && !this.#closing.signal.aborted) this.#note((words) => this.tell(words));
    this.#closing.abort();
    await this.#looking;
  }

  #isWanted(): boolean {
    return this.#listeners.size > 0 || this.#clock.monotonic() < this.#wantedUntilMs;
  }

  #hasEnded(fill: Fill): boolean {
    return this.#fills.has(fill) && this.#fills.get(fill) === undefined;
  }

  #after(cursor: string): readonly NodeEvent[] | undefined {
    const [, boot, number] = /^(.+)\.(\d{1,15})$/.exec(cursor) ?? [];
    const missed = this.#last - Number(number);
    if (boot !== this.#boot || !this.#isWanted() || missed < 0 || missed > this.#log.length) return undefined;
    return missed === 0 ? [] : this.#log.slice(-missed);
  }

  /** As events, for whoever comes now. Nobody else is told: what differs from the last look, the next one tells. */
  #stand(): readonly NodeEvent[] {
    const sources = this.#sources;
    if (!sources) return [];
    const reasons = sources.reasons().slice(0, limits.reasonsMax);
    const words: EventWords[] = [
      { kind: "ring", ...sources.ring() },
      ...(sources.draining() ? [{ kind: "drain", draining: true } as const] : []),
      ...(reasons.length > 0 ? [{ kind: "degraded", reasons } as const] : []),
      { kind: "counters", ...sources.counters() },
      ...sources.fills().map((fill) => ({ kind: "fill_started", ...wordsOf(fill) }) as const),
    ];
    const at = new Date(this.#clock.now()).toISOString();
    return words.map((each): NodeEvent => ({ ...each, at }));
  }

  #look(): void {
    this.#looking ??= this.#lookOn().finally(() => (this.#looking = undefined));
  }

  async #lookOn(): Promise<void> {
    const { signal } = this.#closing;
    // What was before is told to each who comes.
    this.#note();
    while (this.#isWanted() && !signal.aborted) {
      await this.#clock.sleep(limits.lookEveryMs, signal).catch(() => {});
      if (!signal.aborted) this.#note((words) => this.tell(words));
    }
    this.#log = [];
    this.#fills.clear();
  }

  /** Tells what has changed since the last look. */
  #note(tell: (words: EventWords) => void = () => {}): void {
    const sources = this.#sources;
    if (!sources) return;
    const ring = sources.ring();
    const [draining, reasons] = [sources.draining(), sources.reasons().slice(0, limits.reasonsMax)];
    const seen = this.#seen;
    const nowMs = this.#clock.monotonic();
    const isDue = nowMs - seen.countersMs >= limits.countersEveryMs;
    this.#seen = {
      ring: JSON.stringify(ring),
      draining,
      reasons: reasons.join("\n"),
      countersMs: isDue ? nowMs : seen.countersMs,
    };
    if (this.#seen.ring !== seen.ring) tell({ kind: "ring", ...ring });
    if (draining !== seen.draining) tell({ kind: "drain", draining });
    if (this.#seen.reasons !== seen.reasons)
      tell(reasons.length > 0 ? { kind: "degraded", reasons } : { kind: "recovered" });
    this.#noteFills(sources.fills(), tell);
    if (isDue) tell({ kind: "counters", ...sources.counters() });
  }

  #noteFills(running: readonly Fill[], tell: (words: EventWords) => void): void {
    for (const fill of this.#fills.keys()) if (!running.includes(fill)) this.#fills.delete(fill);
    for (const fill of running) {
      if (this.#hasEnded(fill)) continue;
      const words = wordsOf(fill);
      const before = this.#fills.get(fill);
      this.#fills.set(fill, words.bytes);
      if (before === undefined) tell({ kind: "fill_started", ...words });
      else if (before !== words.bytes) tell({ kind: "fill_progress", ...words });
    }
  }
}

const wordsOf = (fill: Fill): FillFacts => fillFacts(fill.progress());
