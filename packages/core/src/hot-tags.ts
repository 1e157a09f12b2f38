import { createHash } from "node:crypto";

import type { Tag } from "@pullring/oci";

import { limits } from "./limits.ts";
import { repositoryKey, type Clock, type Repository } from "./ports.ts";

export interface HotTagsOptions {
  readonly clock: Clock;
  readonly freshMs: (repository: Repository, tag: Tag) => number;
  /** Whether this node is who asks upstream about the tag. */
  readonly isOurs: (repository: Repository, tag: Tag) => boolean;
  /** Asks now. Its failure is nobody's: the next client asks. */
  readonly refresh: (repository: Repository, tag: Tag) => Promise<void>;
}

interface Window {
  readonly repository: Repository;
  readonly tag: Tag;
  /** Of the record, wall ms: another one is another window. */
  readonly checkedAt: number;
  asks: number;
}

/**
 * Tags that were asked for twice within their window are checked again just before it ends, so that whoever asks next waits for nobody.
 * One that is not asked for in the window after that is left alone.
 */
export class HotTags {
  readonly #options: HotTagsOptions;
  /** Those asked for least recently go first. */
  readonly #windows = new Map<string, Window>();
  #running = 0;
  readonly #queue: (() => void)[] = [];

  constructor(options: HotTagsOptions) {
    this.#options = options;
  }

  /** Somebody was told by the record of this time, which was within its window then. */
  asked(repository: Repository, tag: Tag, checkedAt: number): void {
    const { freshMs, isOurs } = this.#options;
    if (freshMs(repository, tag) < limits.refreshWindowMsMin || !isOurs(repository, tag)) return;
    const key = `${repositoryKey(repository)}:${tag}`;
    const known = this.#windows.get(key);
    const window = known?.checkedAt === checkedAt ? known : { repository, tag, checkedAt, asks: 0 };
    window.asks += 1;
    this.#windows.delete(key);
    this.#windows.set(key, window);
    const [coldest] = this.#windows.keys();
    if (this.#windows.size > limits.hotTagsMax && coldest !== undefined) this.#windows.delete(coldest);
    // Nobody waits for it.
    if (window.asks === limits.hotTagAsksMin) this.#watch(key, window).catch(() => {});
  }

  async #watch(key: string, window: Window): Promise<void> {
    const { clock, freshMs, isOurs, refresh } = this.#options;
    const { repository, tag, checkedAt } = window;
    const lengthMs = freshMs(repository, tag);
    await clock.sleep(Math.max(0, checkedAt + lengthMs - leadMs(key, lengthMs) - clock.now()));
    await this.#slot();
    try {
      // Superseded: somebody else has checked it meanwhile.
      if (this.#windows.get(key) === window && isOurs(repository, tag)) await refresh(repository, tag);
    } finally {
      this.#running -= 1;
      this.#queue.shift()?.();
    }
  }

  async #slot(): Promise<void> {
    if (this.#running >= limits.refreshesMax) await new Promise<void>((resolve) => this.#queue.push(resolve));
    this.#running += 1;
  }
}

/** How long before its window's end a tag is checked: for each another part of it, so that tags that came together part. */
function leadMs(key: string, lengthMs: number): number {
  const { refreshLeadMin: min, refreshLeadMax: max } = limits;
  const spread = createHash("sha1").update(key).digest().readUInt32BE() / 0x1_0000_0000;
  return lengthMs * (min + (max - min) * spread);
}
