import { Exchanges, isDigest, type Ask, type Errand } from "./exchanges.ts";
import { limits } from "./limits.ts";
import { isKind, wasKilled, type Entry, type Finding, type Rule, type Run, type Verdict } from "./rule.ts";

/** A request that brought a digest's bytes from their beginning, or was on its way to. */
interface Get {
  readonly ask: Ask;
  /** When it was over, and whether it brought everything; undefined: its node was killed before. */
  readonly ended: { readonly at: number; readonly isWhole: boolean } | undefined;
}

interface Book {
  readonly gets: Get[];
  /** Since when which run has it at rest. */
  readonly kept: Map<Run, number>;
  /** When bytes were lost: evicted, purged, or found to be wrong. By which run; undefined: by all. */
  readonly lost: { readonly at: number; readonly run: Run | undefined }[];
}

/**
 * At most one GET of a digest from its first byte, by all nodes together. Another one is right when what the one before brought could
 * not be had any more: it broke, was evicted or purged, or its node was killed and had not been back for long. What goes on with a
 * body from its middle does not count.
 */
export class OneGet implements Rule {
  readonly promise = 1;
  readonly title: string;
  readonly #request: "blob_get" | "manifest_get";
  readonly #books = new Map<string, Book>();
  readonly #exchanges = new Exchanges((errand) => this.#errand(errand));

  constructor(request: "blob_get" | "manifest_get") {
    this.#request = request;
    this.title = request === "blob_get" ? "one GET per blob" : "one counted GET per manifest";
  }

  see(entry: Entry): void {
    this.#exchanges.see(entry);
    const { line, run } = entry;
    if (line.kind === "gone") {
      this.#bookOf(line.digest).lost.push({ at: line.at, run: line.why === "purged" ? undefined : run });
    } else if (line.kind === "mismatch") {
      this.#bookOf(line.digest).lost.push({ at: line.at, run });
    } else if (isKind(entry, "fill")) {
      const { digest, state, kept, at } = entry.line;
      if (kept) this.#bookOf(digest).kept.set(run, at);
      else if (state !== "passed") this.#bookOf(digest).lost.push({ at, run });
    }
  }

  finish(): Verdict {
    this.#exchanges.finish();
    const findings: Finding[] = [];
    let [checked, excused] = [0, 0];
    for (const [digest, book] of this.#books) {
      const gets = book.gets.toSorted((a, b) => a.ask.line.at - b.ask.line.at);
      checked += gets.length;
      for (const [index, get] of gets.entries()) {
        const before = gets.slice(0, index).find((earlier) => !this.#isExcused(earlier, get, book));
        if (before) findings.push({ where: get.ask.where, what: `${digest} was fetched already: ${placeOf(before)}` });
        else if (index > 0) excused += 1;
      }
    }
    return { checked, excused, findings };
  }

  #bookOf(digest: string): Book {
    const book = this.#books.get(digest) ?? { gets: [], kept: new Map(), lost: [] };
    this.#books.set(digest, book);
    return book;
  }

  #errand({ first, answer }: Errand): void {
    const { request, reference, range } = first.line;
    if (request !== this.#request || !isDigest(reference) || !isFromStart(range)) return;
    if (!answer) return void this.#bookOf(reference).gets.push({ ask: first, ended: undefined });
    const { status, bytes, length, broken, at } = answer;
    if (status !== 200 && status !== 206) return;
    const isWhole = !broken && (length === undefined || bytes >= length);
    this.#bookOf(reference).gets.push({ ask: first, ended: { at, isWhole } });
  }

  #isExcused(earlier: Get, later: Get, book: Book): boolean {
    const { run } = earlier.ask;
    const since = earlier.ask.line.at;
    const at = later.ask.line.at + limits.skewMs;
    if (earlier.ended && !earlier.ended.isWhole) return at >= earlier.ended.at;
    if (!earlier.ended && run.stopped) return at >= run.lastAt;
    if (book.lost.some((loss) => (loss.run ?? run) === run && loss.at >= since && loss.at <= at)) return true;
    if (wasKilled(run) && at >= run.lastAt && !this.#isAtRest(earlier, book)) return true;
    return wasAway(run, later.ask.line.at);
  }

  /** Whether the bytes were where the next start of the node finds them. */
  #isAtRest({ ask, ended }: Get, { kept }: Book): boolean {
    if (!ended) return false;
    if (this.#request === "blob_get") return (kept.get(ask.run) ?? -Infinity) >= ask.line.at;
    return ask.run.lastAt - ended.at >= limits.publishMs;
  }
}

/** Whether the node had been killed, in this run or in one after it, and was not back for long enough. */
function wasAway(run: Run, atMs: number): boolean {
  for (let one: Run | undefined = run; one; one = one.next) {
    const backAt = (one.next?.startedAt ?? Infinity) + limits.returnMs;
    if (wasKilled(one) && atMs + limits.skewMs >= one.lastAt && atMs <= backAt) return true;
  }
  return false;
}

const isFromStart = (range: string | undefined): boolean => range === undefined || range.startsWith("bytes=0-");

const placeOf = ({ ask: { where, run } }: Get): string => `${where.file}:${where.line}, by ${run.node}`;
