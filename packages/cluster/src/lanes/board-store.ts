/** Where nodes leave word of their lanes and of pauses: Redis, in one round trip. */
export interface BoardStore {
  /** Rejects when there is no answer. What it resolves to may come from anybody: `parseReading` judges it. */
  exchange(order: BoardOrder): Promise<unknown>;
  /** Calls when somebody's lanes have changed: a hint to look, which may be lost. Returns how to end it. */
  onHint(listener: () => void): () => void;
  /** Calls with word of a pause, as `<ms> <key>` from whoever can write there. Returns how to end it. */
  onPause(listener: (text: string) => void): () => void;
}

export interface BoardOrder {
  readonly node: string;
  /** Empty: this node has gone. */
  readonly document: string;
  /** Others should look at once. */
  readonly isNews: boolean;
  /** Those that this node began and that still run: told again with every beat, so that a wipe forgets none. */
  readonly pauses: readonly RunningPause[];
}

export interface RunningPause {
  readonly key: string;
  readonly leftMs: number;
}

/** What one exchange told of everybody, nothing of it believed but its form. */
export interface BoardReading {
  readonly documents: readonly { readonly node: string; readonly text: string }[];
  readonly pauses: readonly RunningPause[];
}
