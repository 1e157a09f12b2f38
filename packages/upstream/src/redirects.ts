import { PullringError } from "@pullring/core";

import type { Head, WireRequest } from "./exchange.ts";
import type { BodySink } from "./intake.ts";
import { limits } from "./limits.ts";
import { isRedirect, locationOf } from "./headers.ts";
import type { Transport } from "./transport.ts";
import { WireError } from "./wire-error.ts";

export interface FollowedRequest extends WireRequest {
  /** Goes to the origin of `url`, and no further: once left it is not sent again, even there. */
  readonly authorization?: string | undefined;
  /** False: a redirect is an answer like another. */
  readonly follow: boolean;
}

export interface Answer extends Head {
  /** Where it came from. */
  readonly url: URL;
  /** Whether the registry itself answered, and not where it sent us. */
  readonly direct: boolean;
}

export type OnAnswer = (answer: Answer) => BodySink | undefined;

/** Follows redirects by hand (RFC 9110 §15.4), at most 5. Resolves with the last answer. */
export async function follow(transport: Transport, request: FollowedRequest, onAnswer: OnAnswer): Promise<Answer> {
  const { authorization, follow: follows, ...wire } = request;
  let { url } = request;
  let headers = authorization === undefined ? wire.headers : { ...wire.headers, authorization };
  let direct = true;
  for (let hops = 0; ; hops += 1) {
    const at = { url, direct };
    let next: URL | undefined;
    const exchanged = transport.exchange({ ...wire, url, headers }, (found) => {
      if (!follows || !isRedirect(found.status)) return onAnswer({ ...found, ...at });
      next = redirectTarget(locationOf(found.headers), at.url);
      return undefined;
    });
    const head = await (direct ? exchanged : exchanged.catch(asStranger));
    if (!next) return { ...head, ...at };
    if (hops >= limits.redirectsMax) throw refused(url, `more than ${limits.redirectsMax} redirects`);
    if (next.origin !== request.url.origin) {
      direct = false;
      ({ headers } = wire);
    }
    url = next;
  }
}

/** What a stranger sends must not be read as a word of the registry's. */
function asStranger(error: unknown): never {
  throw error instanceof WireError && error.fault === "unparsable" ? new WireError("reset", error.message) : error;
}

/** Throws `unavailable` for what is no address to go on to. */
export function redirectTarget(location: string | undefined, from: URL): URL {
  if (location === undefined || !URL.canParse(location, from.href)) throw refused(from, "a redirect to nowhere");
  const target = new URL(location, from);
  target.hash = "";
  if (target.protocol !== "https:" && target.protocol !== "http:") throw refused(from, "a redirect to no web address");
  if (from.protocol === "https:" && target.protocol !== "https:") throw refused(from, "a redirect from https to http");
  if (target.username || target.password) throw refused(from, "a redirect to an address with credentials");
  return target;
}

const refused = (from: URL, why: string): PullringError =>
  new PullringError("unavailable", `${from.host} answers ${why}`);
