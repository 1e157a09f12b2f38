import type { Clock, NodeId } from "@pullring/core";

import { membershipLimits as limits } from "../limits.ts";

export interface BenchedPeersOptions {
  readonly clock: Clock;
  readonly isBenched: (node: NodeId) => boolean;
  /** Asks one whether it lives. Rejects when it does not say so. */
  readonly ask: (node: NodeId) => Promise<unknown>;
  readonly onBack: (node: NodeId) => void;
}

/** Asks benched peers again and again, so that no client's request has to find out whether they are back. */
export class BenchedPeers {
  readonly #options: BenchedPeersOptions;
  readonly #asked = new Set<NodeId>();
  readonly #closed = new AbortController();

  constructor(options: BenchedPeersOptions) {
    this.#options = options;
  }

  add(node: NodeId): void {
    if (this.#asked.has(node)) return;
    this.#asked.add(node);
    // Rejects only when closed.
    this.#follow(node).catch(() => {});
  }

  close(): void {
    this.#closed.abort();
  }

  async #follow(node: NodeId): Promise<void> {
    const { clock, isBenched, ask, onBack } = this.#options;
    for (;;) {
      await clock.sleep(limits.askAgainMs, this.#closed.signal);
      if (!isBenched(node)) return void this.#asked.delete(node);
      const isBack = await ask(node).then(
        () => true,
        () => false,
      );
      if (isBack && !this.#closed.signal.aborted) onBack(node);
    }
  }
}
