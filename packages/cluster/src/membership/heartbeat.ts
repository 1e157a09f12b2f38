import type { Clock } from "@pullring/core";

import { membershipLimits as limits } from "../limits.ts";
import { parseReading, type BeatOrder, type BeatStore, type Reading } from "./beat-store.ts";
import { formatDocument, type MemberDocument, type MemberState } from "./member.ts";
import type { MembershipLog } from "./warn-once.ts";

export interface HeartbeatOptions {
  readonly store: BeatStore;
  readonly self: Omit<MemberDocument, "state">;
  readonly clock: Clock;
  /** [0, 1) */
  readonly random: () => number;
  readonly log: MembershipLog;
  /** Whether the process of this incarnation answers at the URL: told false for a URL that must not be dialled. */
  readonly answers: (url: string, incarnation: string) => Promise<boolean>;
  readonly onReading: (reading: Reading) => void;
  readonly onMiss: (error: unknown) => void;
}

/** Another process has this node's id, and it lives. */
export class DuplicateNodeError extends Error {
  override readonly name = "DuplicateNodeError";
}

/**
 * Tells the store every two seconds that this node lives, and reads who else does. It runs in the main loop on purpose: a process that
 * is stuck drops out.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #ended = new AbortController();
  /** Who waits for the next beat that begins. */
  #waiting: ((isTold: boolean) => void)[] = [];
  #wake: AbortController | undefined;
  #running: Promise<void> = Promise.resolve();
  #endHints: (() => void) | undefined;
  #state: MemberState = "joining";
  #hasNews = true;
  #isHinted = false;
  /** The next beat is due now. */
  #isWoken = false;
  /** Whether this process ever had its id. */
  #hasClaimed = false;
  #isSuperseded = false;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** Another process took this node's id while this one runs. It goes on serving and fights nobody. */
  get isSuperseded(): boolean {
    return this.#isSuperseded;
  }

  /**
   * The first beat, tried for a moment where the store does not answer. Resolves to undefined when it did not.
   * Rejects with a DuplicateNodeError when the id is another living process's.
   */
  async start(): Promise<Reading | undefined> {
    const { clock } = this.#options;
    const untilMs = clock.monotonic() + limits.startPatienceMs;
    let reading = await this.#exchange();
    while (!reading && clock.monotonic() < untilMs) {
      await clock.sleep(limits.startRetryMs);
      reading = await this.#exchange();
    }
    if (reading && this.#isSuperseded)
      throw new DuplicateNodeError(`node id ${this.#options.self.id}: another process has it, and answers`);
    return reading;
  }

  /** From here on by itself. */
  run(): void {
    this.#endHints = this.#options.store.onHint(() => void this.#hint());
    this.#running = this.#loop();
  }

  /** Resolves when the store was told, or could not be. */
  tell(state: MemberState): Promise<boolean> {
    if (this.#ended.signal.aborted) return Promise.resolve(false);
    this.#hasNews ||= state !== this.#state;
    this.#state = state;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#waiting.push(resolve);
    this.#beatNow();
    return promise;
  }

  /** `isGone`: says goodbye to the store. Without, this node falls silent like one that crashed. Never rejects. */
  async stop(isGone: boolean): Promise<void> {
    if (this.#ended.signal.aborted) return this.#running;
    this.#ended.abort();
    this.#endHints?.();
    this.#beatNow();
    await this.#running;
    if (isGone) await this.#options.store.exchange(this.#order("leave", true)).catch(() => {});
  }

  async #loop(): Promise<void> {
    const { clock, random } = this.#options;
    while (!this.#ended.signal.aborted) {
      this.#wake = new AbortController();
      const pauseMs = limits.beatMs * (0.75 + random() / 4);
      if (!this.#isWoken) await clock.sleep(pauseMs, this.#wake.signal).catch(() => {});
      this.#isWoken = false;
      const waiting = this.#waiting;
      this.#waiting = [];
      const reading = this.#ended.signal.aborted ? undefined : await this.#exchange();
      if (reading) this.#options.onReading(reading);
      for (const resolve of waiting) resolve(reading !== undefined && !this.#isSuperseded);
    }
    for (const resolve of this.#waiting) resolve(false);
  }

  async #hint(): Promise<void> {
    if (this.#isHinted) return;
    this.#isHinted = true;
    const { clock, random } = this.#options;
    await clock.sleep(random() * limits.hintDelayMaxMs, this.#ended.signal).catch(() => {});
    this.#isHinted = false;
    this.#beatNow();
  }

  #beatNow(): void {
    this.#isWoken = true;
    this.#wake?.abort();
  }

  #order(mode: BeatOrder["mode"], isNews: boolean): BeatOrder {
    const { self, random } = this.#options;
    const { id, incarnation } = self;
    const document = formatDocument({ ...self, state: mode === "leave" ? "leaving" : this.#state });
    // Another name each time: else a set that one node sets up twice would pass for one that was never wiped.
    const generation = Array.from({ length: 4 }, () => hex(random)).join("");
    return { mode, id, incarnation, document, generation, isNews };
  }

  /** undefined, and told to `onMiss`, when there was no good answer. */
  async #exchange(): Promise<Reading | undefined> {
    const state = this.#state;
    try {
      const reading = await this.#ask("beat");
      const settled = reading.isMine ? reading : await this.#contest(reading);
      this.#judge(settled.isMine);
      if (settled.isMine && state === this.#state) this.#hasNews = false;
      return settled;
    } catch (error) {
      this.#options.onMiss(error);
      return undefined;
    }
  }

  async #ask(mode: BeatOrder["mode"]): Promise<Reading> {
    const reading = parseReading(await this.#options.store.exchange(this.#order(mode, this.#hasNews)));
    if (!reading) throw new Error("an answer about members that makes no sense");
    return reading;
  }

  /** The id is another incarnation's. One that this process never had may be its own past, which answers no more. */
  async #contest(reading: Reading): Promise<Reading> {
    const { self, clock, answers } = this.#options;
    if (this.#hasClaimed) return reading;
    const holder = reading.beats.find(({ document }) => document.id === self.id)?.document;
    if (holder) {
      const late = new AbortController();
      const isThere = await Promise.race([
        answers(holder.url, holder.incarnation).catch(() => false),
        clock.sleep(limits.answersMs, late.signal).then(
          () => false,
          () => false,
        ),
      ]);
      late.abort();
      if (isThere) return reading;
    }
    return await this.#ask("claim");
  }

  #judge(isMine: boolean): void {
    const { log, self } = this.#options;
    if (isMine && this.#isSuperseded) log.warn({ node: self.id }, "this node has its id again");
    if (!isMine && !this.#isSuperseded)
      log.error({ node: self.id }, "another process has this node's id: give each node its own, or stop one of them");
    this.#hasClaimed ||= isMine;
    this.#isSuperseded = !isMine;
  }
}

const hex = (random: () => number): string =>
  Math.floor(random() * 0x1_0000_0000)
    .toString(16)
    .padStart(8, "0");
