import type { Fill, Image, Lane, Ring, Tier } from "./answers.ts";
import { ApiError, type Api } from "./api.ts";
import { sampleOf, samplesMax } from "./samples.ts";
import type { State, Store } from "./state.ts";

/** How often each part is asked for, in ms. What changes by the second is what somebody watches. */
const every = { fast: 1_000, slow: 5_000 } as const;

type Answer = Readonly<Record<string, unknown>>;

export interface FreshOptions {
  readonly api: Api;
  readonly store: Store;
  /** Wall ms. */
  readonly now: () => number;
}

/**
 * Keeps the state what the node tells, for as long as the page is looked at. One round of questions at a time; one that fails shows, and the next one tries
 * again. Returns how to ask for everything now.
 */
export function keepFresh({ api, store, now }: FreshOptions): () => void {
  let slowAt = -Infinity;
  let isAsking = false;

  const get = async (path: string): Promise<Answer> => (await api.call("GET", path)) as Answer;

  /** One that fails leaves what it told before, and the other parts alone. */
  const parts: Readonly<Record<keyof typeof every, readonly (() => Promise<Partial<State>>)[]>> = {
    fast: [
      async () => ({ ring: (await get("/ring")) as unknown as Ring }),
      async () => {
        const { fills = [], missing = [] } = await get("/fills");
        return { fills: fills as Fill[], missing: missing as string[] };
      },
    ],
    slow: [
      async () => ({ lanes: ((await get("/quota"))["lanes"] ?? []) as Lane[] }),
      async () => ({ tiers: ((await get("/cache"))["tiers"] ?? []) as Tier[] }),
      async () => ({ images: ((await get("/images"))["images"] ?? []) as Image[] }),
      async () => {
        const metrics = await fetch("/metrics").then((answer) => answer.text());
        return { samples: [...store.state.samples, sampleOf(metrics, now())].slice(-samplesMax) };
      },
    ],
  };

  async function ask(): Promise<void> {
    const isSlow = performance.now() - slowAt >= every.slow;
    if (isSlow) slowAt = performance.now();
    const asked = (isSlow ? [...parts.fast, ...parts.slow] : parts.fast).map((part) => part());
    const told = await Promise.allSettled(asked);
    const changes = told.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    store.set({ ...Object.assign({}, ...changes), isLive: changes.length > 0, now: now() });
    const refused = told.find((one) => one.status === "rejected" && isRefusal(one.reason));
    if (refused?.status === "rejected") throw refused.reason;
  }

  async function round(): Promise<void> {
    if (isAsking || document.hidden || store.state.locked !== undefined) return;
    isAsking = true;
    try {
      await ask();
    } catch (error) {
      store.set({ locked: error instanceof Error ? error.message : String(error) });
    } finally {
      isAsking = false;
    }
  }

  setInterval(() => void round(), every.fast);
  document.addEventListener("visibilitychange", () => void round());
  void round();
  return () => {
    slowAt = -Infinity;
    void round();
  };
}

const isRefusal = (error: unknown): boolean => error instanceof ApiError && [401, 403].includes(error.status);
