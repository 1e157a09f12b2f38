import type { Clock } from "@pullring/core";
import type { Digest } from "@pullring/oci";

/** Who waits for the lease of a digest to change hands. Told by messages, which may be lost, or by the time that each is given. */
export class Waiters {
  readonly #clock: Clock;
  readonly #listen: (listener: (digest: string) => void) => void;
  readonly #waiting = new Map<string, Set<() => void>>();
  #isListening = false;

  constructor(clock: Clock, listen: (listener: (digest: string) => void) => void) {
    this.#clock = clock;
    this.#listen = listen;
  }

  async wait(digest: Digest, withinMs: number, signal?: AbortSignal): Promise<void> {
    this.#hear();
    const woken = new AbortController();
    const wake = (): void => woken.abort();
    const all = this.#waiting.get(digest) ?? new Set();
    this.#waiting.set(digest, all.add(wake));
    const ends = signal ? AbortSignal.any([signal, woken.signal]) : woken.signal;
    // Aborted: told, or nobody waits any more.
    await this.#clock.sleep(withinMs, ends).catch(() => {});
    all.delete(wake);
    if (all.size === 0 && this.#waiting.get(digest) === all) this.#waiting.delete(digest);
  }

  /** From the first wait on: a node that never waits needs no connection for messages. */
  #hear(): void {
    if (this.#isListening) return;
    this.#isListening = true;
    this.#listen((digest) => this.#waiting.get(digest)?.forEach((wake) => wake()));
  }
}
