import type { Image, Owner, Preview, Purged } from "./answers.ts";
import { ApiError, type Api } from "./api.ts";
import type { Store } from "./state.ts";

/** What somebody can do on the page. None of them rejects: what went wrong is shown. */
export interface Actions {
  readonly unlock: (token: string) => void;
  readonly findOwner: (key: string) => Promise<void>;
  readonly previewAdd: (id: string, weight: number) => Promise<void>;
  readonly previewRemove: (id: string) => Promise<void>;
  readonly endPreview: () => void;
  readonly filter: (text: string) => void;
  readonly askPurge: (image: string) => void;
  readonly cancelPurge: () => void;
  readonly purge: () => Promise<void>;
  readonly warm: (image: string) => Promise<void>;
  readonly dismiss: () => void;
}

export const nameOf = ({ repository, tag }: Image): string => `${repository}:${tag}`;

/** Path of an image in the API: slashes stand for themselves. */
const pathOf = (image: string): string => image.split("/").map(encodeURIComponent).join("/");

export function makeActions(api: Api, store: Store, refresh: () => void): Actions {
  const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));

  /** Shows what the call came to, and asks for a token where that is what is missing. */
  function failed(error: unknown): void {
    if (error instanceof ApiError && error.status === 401) store.set({ locked: error.message });
    store.set({ notice: { kind: "bad", text: words(error) } });
  }

  async function preview(change: string, body: unknown): Promise<void> {
    try {
      const answer = (await api.call("POST", "/ring/preview", body)) as Preview;
      store.set({ preview: { ...answer, change } });
    } catch (error) {
      store.set({ preview: words(error) });
    }
  }

  return {
    unlock(token) {
      api.setToken(token);
      store.set({ locked: undefined, notice: undefined });
      refresh();
    },
    async findOwner(key) {
      try {
        store.set({ owner: (await api.call("GET", `/ring/owner?key=${encodeURIComponent(key)}`)) as Owner });
      } catch (error) {
        store.set({ owner: words(error) });
      }
    },
    previewAdd: (id, weight) => preview(`with ${id} added`, { add: [{ id, weight }], remove: [] }),
    previewRemove: (id) => preview(`with ${id} removed`, { add: [], remove: [id] }),
    endPreview: () => store.set({ preview: undefined }),
    filter: (filter) => store.set({ filter }),
    askPurge: (purging) => store.set({ purging }),
    cancelPurge: () => store.set({ purging: undefined }),
    async purge() {
      const { purging } = store.state;
      if (purging === undefined) return;
      store.set({ purging: undefined });
      try {
        const purged = (await api.call("DELETE", `/images/${pathOf(purging)}`)) as Purged;
        const { missing, nodes } = purged;
        const text = `${purging} is gone from ${nodes.length} nodes${missing.length > 0 ? `; not reached yet: ${missing.join(", ")}` : ""}`;
        store.set({ notice: { kind: missing.length > 0 ? "bad" : "good", text } });
        refresh();
      } catch (error) {
        failed(error);
      }
    },
    async warm(image) {
      store.set({ warming: { image, line: "begins", isOver: false } });
      try {
        const lines = api.lines("POST", "/warm", { body: { images: [image], platforms: [] } });
        for await (const line of lines) store.set({ warming: { image, line: wordsOfWarm(line), isOver: false } });
        store.set({ warming: { image, line: "done", isOver: true } });
        refresh();
      } catch (error) {
        store.set({ warming: { image, line: words(error), isOver: true } });
        failed(error);
      }
    },
    dismiss: () => store.set({ notice: undefined }),
  };
}

/** One line of the warm's own telling, short. */
function wordsOfWarm(line: string): string {
  try {
    return Object.entries(JSON.parse(line) as Record<string, unknown>)
      .filter(([, value]) => typeof value === "string" || typeof value === "number")
      .map(([name, value]) => `${name} ${String(value)}`)
      .join(", ");
  } catch {
    return line;
  }
}
