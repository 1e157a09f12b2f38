import { PullringError } from "./errors.ts";

export interface FillGateLimits {
  readonly fillsMax: number;
  readonly fillsPerClientMax: number;
  readonly fillQueueMax: number;
}

/** Bounds the fills of this process and of each client address; the rest waits in order of arrival. */
export interface FillGate {
  /**
   * Resolves with the way out, to be called once. Rejects with `busy` when the queue is full too. Who stands in the queue
   * is let in at once when `urgent` aborts.
   */
  enter(client: string, urgent?: AbortSignal): Promise<() => void>;
  counts(): { readonly running: number; readonly queued: number };
}

interface Waiter {
  readonly client: string;
  readonly admit: () => void;
}

export function makeFillGate(limits: FillGateLimits): FillGate {
  const perClient = new Map<string, number>();
  let queue: Waiter[] = [];
  let running = 0;

  const hasRoom = (client: string): boolean =>
    running < limits.fillsMax && (perClient.get(client) ?? 0) < limits.fillsPerClientMax;

  function take(client: string): () => void {
    running += 1;
    perClient.set(client, (perClient.get(client) ?? 0) + 1);
    return () => {
      running -= 1;
      const left = (perClient.get(client) ?? 1) - 1;
      if (left > 0) perClient.set(client, left);
      else perClient.delete(client);
      admitWaiting();
    };
  }

  /** The first in the queue that has room: a client at its own bound must not hold up the others. */
  function admitWaiting(): void {
    const next = queue.find((waiter) => hasRoom(waiter.client));
    if (!next) return;
    queue = queue.filter((waiter) => waiter !== next);
    next.admit();
  }

  function hurry(waiter: Waiter): void {
    if (!queue.includes(waiter)) return;
    queue = queue.filter((other) => other !== waiter);
    waiter.admit();
  }

  return {
    enter(client, urgent) {
      if (urgent?.aborted || hasRoom(client)) return Promise.resolve(take(client));
      if (queue.length >= limits.fillQueueMax)
        return Promise.reject(
          new PullringError("busy", "too many fills are running and waiting", { retryAfterSec: 2 }),
        );
      return new Promise((resolve) => {
        const waiter = { client, admit: () => resolve(take(client)) };
        queue.push(waiter);
        urgent?.addEventListener("abort", () => hurry(waiter), { once: true });
      });
    },
    counts: () => ({ running, queued: queue.length }),
  };
}
