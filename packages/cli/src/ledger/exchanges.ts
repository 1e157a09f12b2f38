import { isKind, type Entry, type OfKind, type Run } from "./rule.ts";

export type Ask = Entry<OfKind<"ask">>;
export type Answer = OfKind<"answer">;

/** A request to an upstream, from its first exchange to the last of its redirects. */
export interface Errand {
  readonly first: Ask;
  /** Of the last exchange; undefined when the node was killed before. */
  readonly answer: Answer | undefined;
}

interface Open {
  readonly first: Ask;
  answer?: Answer;
}

/** Puts asks and answers together. What is under way is kept, and no more. */
export class Exchanges {
  readonly #onErrand: (errand: Errand) => void;
  #run: Run | undefined;
  #errands = new Map<string, Open>();
  #byExchange = new Map<number, Open>();

  constructor(onErrand: (errand: Errand) => void) {
    this.#onErrand = onErrand;
  }

  see(entry: Entry): void {
    if (entry.run !== this.#run) this.finish();
    this.#run = entry.run;
    if (isKind(entry, "ask")) this.#ask(entry);
    if (isKind(entry, "answer")) this.#answer(entry.line);
  }

  /** Tells of what was under way when the file ended. */
  finish(): void {
    for (const { first, answer } of this.#errands.values()) this.#onErrand({ first, answer });
    this.#errands = new Map();
    this.#byExchange = new Map();
  }

  #ask(entry: Ask): void {
    const { n, upstream, errand } = entry.line;
    const key = `${upstream} ${errand}`;
    const open: Open = { first: this.#errands.get(key)?.first ?? entry };
    this.#errands.set(key, open);
    this.#byExchange.set(n, open);
  }

  #answer(answer: Answer): void {
    const open = this.#byExchange.get(answer.n);
    if (!open) return;
    this.#byExchange.delete(answer.n);
    open.answer = answer;
    // Behind a redirect there is another exchange to come.
    if (!answer.broken && isRedirect(answer.status)) return;
    const { upstream, errand } = open.first.line;
    this.#errands.delete(`${upstream} ${errand}`);
    this.#onErrand({ first: open.first, answer });
  }
}

const isRedirect = (status: number | undefined): boolean => status !== undefined && status >= 300 && status < 400;

export const isDigest = (reference: string | undefined): reference is string =>
  reference !== undefined && /^sha(?:256|512):/.test(reference);
