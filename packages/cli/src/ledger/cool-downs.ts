import { limits } from "./limits.ts";
import type { Entry, Finding, OfKind, Rule, Run, Verdict } from "./rule.ts";

type Ask = OfKind<"ask">;

interface Pause {
  readonly untilMs: number;
  readonly line: number;
}

/**
 * After a 429 nothing of the same kind goes out by the same lane until the time that upstream asked for has passed. That is the least
 * that a 429 can mean; what the node itself made of it is not looked at.
 */
export class CoolDowns implements Rule {
  readonly promise = 4;
  readonly title = "no request inside a cool-down";
  readonly #findings: Finding[] = [];
  #run: Run | undefined;
  #asked = new Map<number, Ask>();
  #pauses = new Map<string, Pause>();
  #checked = 0;

  see({ line, where, run }: Entry): void {
    if (run !== this.#run) {
      this.#run = run;
      this.#asked = new Map();
      this.#pauses = new Map();
    }
    if (line.kind === "ask") {
      this.#asked.set(line.n, line);
      this.#checked += 1;
      const pause = this.#pauses.get(keyOf(line));
      const leftMs = pause ? pause.untilMs - line.at : 0;
      if (pause && leftMs > limits.coolDownSlackMs) {
        const what = `${line.request} by ${line.lane}, ${leftMs} ms before the end of what line ${pause.line} asked for`;
        this.#findings.push({ where, what });
      }
    } else if (line.kind === "answer") {
      const ask = this.#asked.get(line.n);
      this.#asked.delete(line.n);
      if (ask && line.status === 429) this.#begin(keyOf(ask), { untilMs: endOf(line), line: where.line });
    }
  }

  finish(): Verdict {
    return { checked: this.#checked, findings: this.#findings };
  }

  #begin(key: string, pause: Pause): void {
    if (pause.untilMs > (this.#pauses.get(key)?.untilMs ?? 0)) this.#pauses.set(key, pause);
  }
}

/** Pull limits count manifests and leave the rest alone; all requests for blobs are of one kind. */
const keyOf = ({ upstream, lane, request }: Ask): string =>
  `${upstream} ${lane} ${request.startsWith("blob") ? "blob" : request}`;

/** RFC 9110 §10.2.3: seconds, or a date. */
function endOf({ at, retryAfter }: OfKind<"answer">): number {
  if (retryAfter === undefined) return at + limits.coolDownSec * 1000;
  const text = retryAfter.trim();
  const date = /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) : Number.NaN;
  const seconds = /^\d+$/.test(text) ? Number(text) : (date - at) / 1000;
  const known = Number.isNaN(seconds) ? limits.coolDownUnreadableSec : Math.max(1, seconds);
  return at + Math.min(limits.coolDownSecMax, known) * 1000;
}
