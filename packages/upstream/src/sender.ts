import { PullringError, type Clock } from "@pullring/core";

import packageFacts from "../package.json" with { type: "json" };
import type { Log, RequestKind, UpstreamConfig, UpstreamEvent } from "./config.ts";
import type { CoolDowns } from "./cool-downs.ts";
import type { AccountLane } from "./lanes.ts";
import { limits } from "./limits.ts";
import { follow, type Answer, type FollowedRequest, type OnAnswer } from "./redirects.ts";
import { retryAfterSec } from "./retry-after.ts";
import type { Transport } from "./transport.ts";
import { tapped, type OnWire } from "./wire-tap.ts";
import { WireError } from "./wire-error.ts";

interface Errand {
  readonly kind: RequestKind;
  readonly lane: AccountLane;
  readonly request: FollowedRequest;
}

/** Sends one request, unless inside a cool-down, and tells of it. Rejects with PullringError, or as the receiver threw. */
export type Send = (errand: Errand, onAnswer: OnAnswer) => Promise<Answer>;

export interface SenderOptions {
  readonly upstream: UpstreamConfig;
  /** The connections by the lane's egress. */
  readonly transportOf: (lane: AccountLane) => Transport;
  /** Stops everything that goes out as this lane's does. */
  readonly pause: (lane: AccountLane, seconds: number) => void;
  readonly coolDowns: CoolDowns;
  readonly clock: Clock;
  readonly observe: (event: UpstreamEvent) => void;
  readonly onWire?: OnWire | undefined;
  readonly log: Log;
}

/** Beside these only Accept, Range and Authorization go up. */
const commonHeaders = { "user-agent": `pullring/${packageFacts.version}`, "accept-encoding": "identity" };

/** What one cool-down of a lane stops: pull limits count manifests and leave the rest alone. */
export const coolDownKey = (lane: AccountLane, kind: RequestKind): string =>
  `${lane.name} ${kind.startsWith("blob") ? "blob" : kind}`;

/** What stops everything of an egress. */
export const pauseKey = ({ egress }: Pick<AccountLane, "egress">): string => `everything by ${egress.name}`;

export function makeSender(options: SenderOptions): Send {
  const { upstream, transportOf, pause, coolDowns, clock, observe, onWire, log } = options;
  const isBurst = makeBurstMeter(clock);
  let sent = 0;

  /** Docker Hub's abuse answer has bare line feeds, which no strict parser reads. */
  function asAbuse({ received }: WireError, lane: AccountLane): PullringError | undefined {
    if (received === undefined) return undefined;
    const header = /^retry-after:\s*(\S+)/im.exec(received)?.[1];
    if (!isBurst() && header === undefined && !/too many requests/i.test(received)) return undefined;
    const seconds = retryAfterSec(header, clock.now());
    pause(lane, seconds);
    log.warn(
      { upstream: upstream.name, lane: lane.name, pauseSec: seconds },
      "upstream refuses all requests for a while",
    );
    return new PullringError("throttled", `${upstream.name} refuses all requests`, { retryAfterSec: seconds });
  }

  function translate(error: unknown, lane: AccountLane): unknown {
    if (!(error instanceof WireError)) return error;
    const abuse = error.fault === "unparsable" ? asAbuse(error, lane) : undefined;
    if (error.fault === "forbidden") log.warn({ upstream: upstream.name }, error.message);
    return abuse ?? fromWire(error);
  }

  return async ({ kind, lane, request }, onAnswer) => {
    coolDowns.check(pauseKey(lane), coolDownKey(lane, kind));
    isBurst(1);
    const transport = transportOf(lane);
    const number = (sent += 1);
    const event = { upstream: upstream.name, kind, lane: lane.name };
    try {
      const headers = { ...commonHeaders, ...request.headers };
      const wire = onWire ? tapped(transport, onWire, { ...event, lane, number, request }) : transport;
      const answer = await follow(wire, { ...request, headers }, onAnswer);
      observe({ ...event, status: answer.status });
      return answer;
    } catch (error) {
      observe({ ...event, status: "error" });
      throw translate(error, lane);
    }
  };
}

function fromWire(error: WireError): PullringError {
  if (error.fault === "cut") return new PullringError("cut", error.message, { cause: error });
  const reason = error.fault === "silent" ? "timeout" : "down";
  return new PullringError("unavailable", error.message, { cause: error, reason });
}

/** Counts requests per minute, roughly; tells whether they are many. */
function makeBurstMeter(clock: Clock): (sent?: number) => boolean {
  const minuteMs = 60_000;
  let minute = 0;
  let counts = { last: 0, current: 0 };
  return (sent = 0) => {
    const now = Math.floor(clock.monotonic() / minuteMs);
    if (now !== minute) counts = { last: now === minute + 1 ? counts.current : 0, current: 0 };
    minute = now;
    counts.current += sent;
    return counts.last + counts.current >= limits.burstRequestsMin;
  };
}
