import type { Clock, LaneBoard, LaneFacts, NodeId, Pause } from "@pullring/core";

import { laneLimits as limits } from "../limits.ts";
import type { BoardReading, BoardStore, RunningPause } from "./board-store.ts";
import { formatLanes, parseLanes, parsePause, parseReading } from "./lane-words.ts";

export interface LaneBoardOptions {
  readonly store: BoardStore;
  readonly self: NodeId;
  /** Who lives, as membership has it: lanes of nobody else count. */
  readonly isMember: (node: NodeId) => boolean;
  readonly clock: Clock;
  /** [0, 1) */
  readonly random: () => number;
}

export interface FollowedBoard extends LaneBoard {
  /** Tells and reads from now on, until closed. */
  follow(): void;
  /** The others forget this node's lanes. Never rejects. */
  close(): Promise<void>;
}

interface Others {
  readonly lanes: readonly LaneFacts[];
  readonly readAtMs: number;
}

/** Tells the others of this node's lanes every two seconds and at every change, and reads theirs by the same word. */
class SharedBoard implements FollowedBoard {
  readonly #options: LaneBoardOptions;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<(pause: Pause) => void>();
  /** When each ends, by our own clock: of those that this node began, and of all that it told its listeners of. */
  readonly #own = new Map<string, number>();
  readonly #heard = new Map<string, number>();
  readonly #ends: (() => void)[] = [];
  #document = "[]";
  #hasNews = false;
  #others: Others = { lanes: [], readAtMs: -Infinity };
  #wake = new AbortController();
  #isHinted = false;
  #running: Promise<void> | undefined;

  constructor(options: LaneBoardOptions) {
    this.#options = options;
  }

  publish(lanes: readonly LaneFacts[]): void {
    const document = formatLanes(lanes);
    if (document === this.#document) return;
    this.#document = document;
    this.#hasNews = true;
    this.#wake.abort();
  }

  others(): readonly LaneFacts[] {
    const { clock, isMember } = this.#options;
    const { lanes, readAtMs } = this.#others;
    return clock.monotonic() - readAtMs > limits.rememberedMs ? [] : lanes.filter(({ node }) => isMember(node));
  }

  pause({ key, forSec }: Pause): void {
    const leftMs = Math.min(forSec * 1000, limits.pauseMsMax);
    if (!(leftMs > 0)) return;
    remember(this.#own, key, this.#options.clock.monotonic() + leftMs);
    this.#hear({ key, leftMs });
    this.#wake.abort();
  }

  onPause(hear: (pause: Pause) => void): () => void {
    this.#listeners.add(hear);
    return () => void this.#listeners.delete(hear);
  }

  follow(): void {
    if (this.#running) return;
    const { store } = this.#options;
    this.#ends.push(
      store.onHint(() => void this.#hint()),
      store.onPause((text) => this.#hear(parsePause(text))),
    );
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#wake.abort();
    for (const end of this.#ends) end();
    await this.#running;
    const { store, self } = this.#options;
    if (this.#running) await store.exchange({ node: self, document: "", isNews: true, pauses: [] }).catch(() => {});
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#options;
    while (!this.#closing.signal.aborted) {
      // Made before the word is sent: what changes meanwhile is told next.
      this.#wake = new AbortController();
      await this.#exchange();
      if (this.#closing.signal.aborted) return;
      await clock.sleep(limits.beatMs * (0.75 + random() / 4), this.#wake.signal).catch(() => {});
    }
  }

  async #hint(): Promise<void> {
    if (this.#isHinted) return;
    this.#isHinted = true;
    const { clock, random } = this.#options;
    await clock.sleep(random() * limits.hintDelayMaxMs, this.#closing.signal).catch(() => {});
    this.#isHinted = false;
    this.#wake.abort();
  }

  /** Without an answer everything stays as it was; the next beat tells it all again. */
  async #exchange(): Promise<void> {
    const { store, self } = this.#options;
    const isNews = this.#hasNews;
    this.#hasNews = false;
    try {
      const order = { node: self, document: this.#document, isNews, pauses: this.#ownPauses() };
      const reading = parseReading(await store.exchange(order));
      if (reading) this.#read(reading);
    } catch {
      this.#hasNews ||= isNews;
    }
  }

  #read({ documents, pauses }: BoardReading): void {
    const { clock, self } = this.#options;
    const lanes = documents.flatMap(({ node, text }) => (node === self ? [] : parseLanes(node, text)));
    this.#others = { lanes, readAtMs: clock.monotonic() };
    for (const pause of pauses) this.#hear(pause);
  }

  #ownPauses(): readonly RunningPause[] {
    const now = this.#options.clock.monotonic();
    for (const [key, endMs] of this.#own) if (endMs <= now) this.#own.delete(key);
    return [...this.#own].map(([key, endMs]) => ({ key, leftMs: endMs - now }));
  }

  /** Once for each pause, however often and by whatever way word of it comes. */
  #hear(pause: RunningPause | undefined): void {
    if (!pause) return;
    const { key, leftMs } = pause;
    const now = this.#options.clock.monotonic();
    for (const [over, endMs] of this.#heard) if (endMs <= now) this.#heard.delete(over);
    if (now + leftMs <= (this.#heard.get(key) ?? -Infinity) + limits.samePauseMs) return;
    remember(this.#heard, key, now + leftMs);
    for (const hear of this.#listeners) hear({ key, forSec: leftMs / 1000 });
  }
}

/** The oldest goes where there are too many. */
function remember(ends: Map<string, number>, key: string, endMs: number): void {
  const known = ends.get(key) ?? -Infinity;
  ends.delete(key);
  ends.set(key, Math.max(known, endMs));
  const [oldest] = ends.keys();
  if (ends.size > limits.pausesMax && oldest !== undefined) ends.delete(oldest);
}

export const openLaneBoard = (options: LaneBoardOptions): FollowedBoard => new SharedBoard(options);
