import { PullringError, type Clock } from "@pullring/core";

import type { Log, RequestKind } from "./config.ts";
import type { CoolDowns } from "./cool-downs.ts";
import { headerOf } from "./headers.ts";
import type { AccountLane } from "./lanes.ts";
import type { Answer } from "./redirects.ts";
import { retryAfterSec } from "./retry-after.ts";
import { coolDownKey } from "./sender.ts";
import { WireError } from "./wire-error.ts";

/** An answer that is not what was asked for. */
export interface Refusal {
  readonly answer: Answer;
  /** Up to 64 KiB of it; empty for HEAD. */
  readonly body: Buffer;
  readonly kind: RequestKind;
  readonly lane: AccountLane;
}

export interface RefusalsOptions {
  readonly upstream: string;
  readonly coolDowns: CoolDowns;
  /** Stops everything that goes out as this lane's does. */
  readonly pause: (lane: AccountLane, seconds: number) => void;
  readonly clock: Clock;
  readonly log: Log;
}

const gone: ReadonlySet<number> = new Set([404, 410, 451]);

/** HEAD is what old registries don't know; the referrers API and tag lists are what many lack. */
const unsupported: Partial<Record<RequestKind, ReadonlySet<number>>> = {
  manifest_head: new Set([400, 405, 406, 501]),
  blob_head: new Set([400, 405, 406, 501]),
  referrers: new Set([404, 405, 501]),
  tags: new Set([405, 501]),
};

/** What a refusal means, as an error to throw; a 429 begins a cool-down. */
export type ErrorOf = (refusal: Refusal) => PullringError;

export function makeRefusals(options: RefusalsOptions): ErrorOf {
  const { upstream, coolDowns, pause, clock, log } = options;

  /**
   * A pull limit holds for one kind of request of one lane. Anything else is the abuse limit, which holds for all that comes from this
   * address.
   */
  function throttled({ answer, body, kind, lane }: Refusal): PullringError {
    const pauseSec = retryAfterSec(headerOf(answer.headers, "retry-after"), clock.now());
    const isLimit = isPullLimit({ answer, body, kind });
    if (isLimit) coolDowns.begin(coolDownKey(lane, kind), pauseSec);
    else pause(lane, pauseSec);
    log.warn({ upstream, lane: lane.name, kind, pauseSec, everything: !isLimit }, "upstream answers 429");
    return new PullringError("throttled", `${upstream} answers 429`, { retryAfterSec: pauseSec });
  }

  return (refusal) => {
    const { answer, kind } = refusal;
    const { status } = answer;
    const text = `${answer.url.host} answers ${status}`;
    if (status === 429) return throttled(refusal);
    if (unsupported[kind]?.has(status)) return new PullringError("unsupported", text);
    if (gone.has(status)) return new PullringError("missing", text);
    // What a registry sends us to has said nothing about rights when it refuses us the bytes.
    if (status === 401 || status === 403)
      return !answer.direct && kind.startsWith("blob")
        ? new PullringError("unavailable", text)
        : new PullringError("missing", text, { reason: "refused" });
    if (status === 416) return new PullringError("corrupt", text);
    if (status >= 500) return new PullringError("unavailable", text, { cause: new WireError("reset", text) });
    return new PullringError("unavailable", text, { reason: "refused" });
  };
}

/** Whether a 429 says, in JSON, that too much was pulled; unless it is not the registry that says so. */
export const isPullLimit = ({ answer, body, kind }: Omit<Refusal, "lane">): boolean =>
  !answer.direct || (kind === "token" ? isLocal(answer) : saysTooMany(answer, body));

/** The codes of an error body (distribution-spec, "Error Codes"). */
function codesOf(body: Buffer): string[] {
  try {
    const { errors } = JSON.parse(body.toString()) as { errors?: { code?: unknown }[] };
    return Array.isArray(errors) ? errors.map((error) => String(error?.code)) : [];
  } catch {
    return [];
  }
}

function saysTooMany(answer: Answer, body: Buffer): boolean {
  if (codesOf(body).includes("TOOMANYREQUESTS")) return true;
  return body.length === 0 && isJson(answer);
}

/** A token server's 429 may be about one username that failed to log in too often; that comes without Retry-After. */
const isLocal = (answer: Answer): boolean => isJson(answer) || answer.headers["retry-after"] === undefined;

const isJson = ({ headers }: Answer): boolean => /\bjson\b/i.test(headerOf(headers, "content-type") ?? "");
