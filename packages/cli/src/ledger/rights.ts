import { limits } from "./limits.ts";
import type { Entry, Finding, OfKind, Rule, Verdict, Where } from "./rule.ts";

interface Served {
  readonly at: number;
  readonly where: Where;
  readonly what: string;
}

/** Bytes that an account brought are served under a repository only by a link there, which upstream's word wrote. */
export class Rights implements Rule {
  readonly promise = 7;
  readonly title = "linked bytes by a link only";
  readonly #served = new Map<string, Served>();
  readonly #links = new Map<string, number>();
  readonly #findings: Finding[] = [];
  #checked = 0;

  see({ line, where }: Entry): void {
    if (line.kind === "link") {
      const key = keyOf(line);
      this.#links.set(key, Math.min(line.at, this.#links.get(key) ?? Infinity));
    } else if (line.kind === "response" && carriesBytes(line)) {
      this.#checked += 1;
      if (line.access === undefined) this.#findings.push({ where, what: "it is not told whose bytes these are" });
      if (line.access === "linked") this.#serve(line, where);
    }
  }

  finish(): Verdict {
    const wrong = [...this.#served].filter(([key, { at }]) => (this.#links.get(key) ?? Infinity) > at + limits.skewMs);
    const findings = [...this.#findings, ...wrong.map(([, { where, what }]) => ({ where, what }))];
    return { checked: this.#checked, findings };
  }

  /** The first time counts. */
  #serve(line: OfKind<"response">, where: Where): void {
    const { at, upstream = "", repository = "", digest = "" } = line;
    const key = keyOf({ upstream, repository, digest });
    if (at >= (this.#served.get(key)?.at ?? Infinity)) return;
    this.#served.set(key, {
      at,
      where,
      what: `${digest} was served under ${upstream}/${repository}, which has no link`,
    });
  }
}

const carriesBytes = ({ method, status, sent }: OfKind<"response">): boolean =>
  method === "GET" && (status === 200 || status === 206) && sent > 0;

const keyOf = ({ upstream, repository, digest }: { upstream: string; repository: string; digest: string }): string =>
  `${upstream}/${repository}@${digest}`;
