import { handOver } from "./hand-over.ts";
import { serverLimits } from "./http/server-limits.ts";
import type { ClusterSide } from "./open-cluster.ts";
import type { Storage } from "./open-storage.ts";
import type { Parts } from "./parts.ts";

/** How a node leaves its cluster: out of the ring first, then what it holds goes where it is found without it. It serves all the while. */
export interface Drain {
  /** Resolves to whether the others can know. */
  drain(): Promise<boolean>;
  undrain(): Promise<boolean>;
  /** Resolves when nothing is left that only this node has, or that can't be helped. */
  done(): Promise<void>;
}

export interface DrainOptions {
  readonly storage: Storage;
  readonly cluster: ClusterSide;
}

export function makeDrain({ clock, log }: Parts, { storage, cluster }: DrainOptions): Drain {
  const { membership } = cluster;
  let ended = new AbortController();
  let leaving: Promise<void> | undefined;

  async function empty(signal: AbortSignal): Promise<void> {
    if (storage.s3) {
      await storage.s3.flush(serverLimits.drainMs);
      return;
    }
    await agreed(cluster, clock, signal);
    const { links, store } = storage;
    await handOver({ links, store, cluster: cluster.ports, clock, log, signal });
  }

  return {
    async drain() {
      const isTold = await membership.drain();
      leaving ??= empty(ended.signal).catch((error: unknown) => {
        log.error({ err: error }, "what this node holds could not be handed over");
      });
      return isTold;
    },
    undrain() {
      ended.abort();
      ended = new AbortController();
      leaving = undefined;
      return membership.undrain();
    },
    done: () => leaving ?? Promise.resolve(),
  };
}

const agreementMs = 5_000;
const agreementPauseMs = 50;

/** Until the others see the ring without this node, or for so long: who does not know that it owns a blob does not keep what it is asked for. */
async function agreed({ membership, client }: ClusterSide, clock: Parts["clock"], signal: AbortSignal): Promise<void> {
  const others = membership.nodes().filter(({ id, state }) => id !== membership.self && state === "active");
  const untilMs = clock.monotonic() + agreementMs;
  const wait = async ({ id, url }: (typeof others)[number]): Promise<void> => {
    while (clock.monotonic() < untilMs && !signal.aborted) {
      const hello = await client.hello(url, id, signal).catch(() => undefined);
      if (hello?.epoch === membership.ring().epoch) return;
      await clock.sleep(agreementPauseMs, signal);
    }
  };
  await Promise.all(others.map(wait));
}
