import { textBytes } from "./bytes.ts";
import type { AbuseLimit } from "./knobs.ts";
import type { Exchange, Reply } from "./reply.ts";
import type { HubState } from "./state.ts";

const minuteMs = 60_000;
const byRate: AbuseLimit = { retryAfterSec: 60, bareLf: false, text: "Too Many Requests" };

function abuseReply({ text, retryAfterSec, bareLf }: AbuseLimit): Reply {
  const headers = { "Content-Type": "text/plain", "Retry-After": `${retryAfterSec}`, Connection: "close" };
  if (!bareLf) return { status: 429, headers, body: textBytes(`${text}\n`) };
  const head = [
    "HTTP/1.1 429 Too Many Requests",
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  return { status: 429, headers: {}, raw: `${head.join("\n")}\n\n${text}\n` };
}

/** The limit that knows no plan and no kind of request. */
export function makeAbuseGuard({ knobs, now }: HubState) {
  const requests = new Map<string, { minute: number; count: number }>();

  return function refuse({ entry }: Exchange): Reply | undefined {
    if (knobs.abuse !== undefined) return abuseReply(knobs.abuse);
    if (knobs.abuseRequestsPerMinute === undefined) return undefined;
    const minute = Math.floor(now() / minuteMs);
    const known = requests.get(entry.remoteAddress);
    const count = known?.minute === minute ? known.count + 1 : 1;
    requests.set(entry.remoteAddress, { minute, count });
    return count > knobs.abuseRequestsPerMinute ? abuseReply(byRate) : undefined;
  };
}
