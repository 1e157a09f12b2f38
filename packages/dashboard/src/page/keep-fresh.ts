import type { Fill, Image, Lane, Ring, Tier } from "./answers.ts";
import { ApiError, type Api } from "./api.ts";
import { sampleOf, samplesMax } from "./samples.ts";
import type { State, Store } from "./state.ts";

/** How often each part is asked for, in ms. What changes by the second is what somebody watches. */
const every = { fast: 1_000, slow: 5_000 } as const;

type Answer = Readonly<Record<string, unknown>>;

/**
 * Keeps the state what the node tells, for as long as the page is looked at. One round of questions at a time; one that fails shows, and the next one tries
 * again. Returns how to ask for everything now.
 */
export function keepFresh({ api, store }: { api: Api; store: Store }): () => void {
  let slowAt = -Infinity;
  let isAsking = false;

  const get = async (path: string): Promise<Answer> => (await api.call("GET", path)) as Answer;

  async function fast(): Promise<Partial<State>> {
    const [ring, fills] = await Promise.all([get("/ring"), get("/fills")]);
    return {
      ring: ring as unknown as Ring,
      fills: (fills["fills"] ?? []) as Fill[],
      missing: (fills["missing"] ?? []) as string[],
    };
  }

  async function slow(): Promise<Partial<State>> {
    const [quota, cache, images, metrics] = await Promise.all([
      get("/quota"),
      get("/cache"),
      get("/images"),
      fetch("/metrics").then((answer) => answer.text()),
    ]);
    return {
      lanes: (quota["lanes"] ?? []) as Lane[],
      tiers: (cache["tiers"] ?? []) as Tier[],
      images: (images["images"] ?? []) as Image[],
      samples: [...store.state.samples, sampleOf(metrics, Date.now())].slice(-samplesMax),
    };
  }

  async function ask(): Promise<void> {
    const isSlow = performance.now() - slowAt >= every.slow;
    if (isSlow) slowAt = performance.now();
    const parts = await Promise.all(isSlow ? [fast(), slow()] : [fast()]);
    store.set({ ...Object.assign({}, ...parts), isLive: true, now: Date.now() });
  }

  async function round(): Promise<void> {
    if (isAsking || document.hidden || store.state.locked !== undefined) return;
    isAsking = true;
    try {
      await ask();
    } catch (error) {
      failed(error);
    } finally {
      isAsking = false;
    }
  }

  function failed(error: unknown): void {
    if (error instanceof ApiError && [401, 403].includes(error.status)) store.set({ locked: error.message });
    else store.set({ isLive: !(error instanceof ApiError && error.status === 0), now: Date.now() });
  }

  setInterval(() => void round(), every.fast);
  document.addEventListener("visibilitychange", () => void round());
  void round();
  return () => {
    slowAt = -Infinity;
    void round();
  };
}
