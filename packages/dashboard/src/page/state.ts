import type { Fill, Image, Lane, Owner, Preview, Purged, Ring, Tier } from "./answers.ts";

/** One point of what is drawn over time. */
export interface Sample {
  /** Wall seconds. */
  readonly at: number;
  /** Of requests for manifests and blobs, by the tier that answered, since the node started. */
  readonly requests: Readonly<Record<string, number>>;
  /** Of bodies sent to clients, by tier, since the node started. */
  readonly bytes: Readonly<Record<string, number>>;
}

export interface Notice {
  readonly kind: "good" | "bad";
  readonly text: string;
}

/** Everything that is drawn. What is undefined has not been told yet. */
export interface State {
  /** The API wants a token: why. */
  readonly locked: string | undefined;
  /** The node answers. */
  readonly isLive: boolean;
  readonly ring: Ring | undefined;
  readonly lanes: readonly Lane[] | undefined;
  readonly fills: readonly Fill[] | undefined;
  readonly tiers: readonly Tier[] | undefined;
  readonly images: readonly Image[] | undefined;
  /** Nodes that did not answer when the cluster was asked. */
  readonly missing: readonly string[];
  readonly samples: readonly Sample[];
  /** Where what was typed lands, or why that can't be told. */
  readonly owner: Owner | string | undefined;
  readonly preview: (Preview & { readonly change: string }) | string | undefined;
  /** What is about to be purged: asked once more before it is done. */
  readonly purging: string | undefined;
  readonly purged: Purged | undefined;
  /** Lines of a warm that runs or ran. */
  readonly warming: { readonly image: string; readonly line: string; readonly isOver: boolean } | undefined;
  readonly filter: string;
  readonly notice: Notice | undefined;
  /** Wall ms, for what says how long ago. */
  readonly now: number;
}

export const initial: State = {
  locked: undefined,
  isLive: true,
  ring: undefined,
  lanes: undefined,
  fills: undefined,
  tiers: undefined,
  images: undefined,
  missing: [],
  samples: [],
  owner: undefined,
  preview: undefined,
  purging: undefined,
  purged: undefined,
  warming: undefined,
  filter: "",
  notice: undefined,
  now: 0,
};

export interface Store {
  readonly state: State;
  set(change: Partial<State>): void;
}

/** Draws at most once a frame, however often something changes. */
export function makeStore(draw: (state: State) => void, nextFrame: (run: () => void) => void): Store {
  let state = initial;
  let isDue = false;
  return {
    get state() {
      return state;
    },
    set(change) {
      state = { ...state, ...change };
      if (isDue) return;
      isDue = true;
      nextFrame(() => {
        isDue = false;
        draw(state);
      });
    },
  };
}
