import { limits } from "./limits.ts";
import { isKind, type Entry, type Finding, type OfKind, type Rule, type Verdict } from "./rule.ts";

type Response = OfKind<"response">;

/** What carries the last byte hashes to its digest, and ends of the same blob agree. */
export class RightBytes implements Rule {
  readonly promise = 2;
  readonly title = "bytes up to the last one are right";
  readonly #endings = new Map<string, Map<number, string>>();
  readonly #findings: Finding[] = [];
  #checked = 0;

  see(entry: Entry): void {
    if (!isKind(entry, "response") || !hasContent(entry.line) || !reachesEnd(entry.line)) return;
    this.#checked += 1;
    const what = entry.line.first === 0 ? wholeProblem(entry.line) : this.#endingProblem(entry.line);
    if (what !== undefined) this.#findings.push({ where: entry.where, what });
  }

  finish(): Verdict {
    return { checked: this.#checked, findings: this.#findings };
  }

  /** A part can't be held against the digest, only against others that begin at the same byte. */
  #endingProblem({ digest = "", first = 0, hash }: Response): string | undefined {
    if (hash === undefined) return `an end of ${digest} is not told of by a hash`;
    const endings = this.#endings.get(digest) ?? new Map<number, string>();
    this.#endings.set(digest, endings);
    const known = endings.get(first);
    if (known !== undefined) return known === hash ? undefined : `${digest} from byte ${first} was ${known} before`;
    if (endings.size < limits.endingsPerDigestMax) endings.set(first, hash);
    return undefined;
  }
}

/** A response that ends well brings what its head promised, neither less nor more. */
export class CleanEnds implements Rule {
  readonly promise = 2;
  readonly title = "no clean end short of the promise";
  readonly #findings: Finding[] = [];
  #checked = 0;

  see({ line, where }: Entry): void {
    if (line.kind !== "response" || !hasContent(line)) return;
    this.#checked += 1;
    const { end, sent, promised } = line;
    const isShort = end === "clean" && sent !== promised;
    if (isShort || sent > (promised ?? Infinity))
      this.#findings.push({ where, what: `${sent} bytes were sent and ${promised ?? "no length"} promised` });
  }

  finish(): Verdict {
    return { checked: this.#checked, findings: this.#findings };
  }
}

const hasContent = ({ method, status }: Response): boolean => method === "GET" && (status === 200 || status === 206);

/** Of nothing the end is reached when it ends. */
const reachesEnd = ({ first, size, sent, end }: Response): boolean =>
  first !== undefined && size !== undefined && first + sent >= size && (sent > 0 || end === "clean");

function wholeProblem({ digest, hash }: Response): string | undefined {
  if (digest === undefined || hash === undefined) return "content was sent that no digest and hash are told of";
  return digest === hash ? undefined : `what was sent as ${digest} is ${hash}`;
}
