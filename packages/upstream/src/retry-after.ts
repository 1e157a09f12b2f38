import { limits } from "./limits.ts";

/** Seconds to wait by a Retry-After header (RFC 9110 §10.2.3: seconds, or a date), at least 1 and at most 6 h. */
export function retryAfterSec(header: string | undefined, nowMs: number): number {
  if (header === undefined) return limits.coolDownSec;
  const text = header.trim();
  const seconds = /^\d+$/.test(text) ? Number(text) : (httpDate(text) - nowMs) / 1000;
  if (Number.isNaN(seconds)) return limits.coolDownUnreadableSec;
  return Math.min(limits.coolDownSecMax, Math.max(1, Math.ceil(seconds)));
}

/** Every form of HTTP-date begins with the name of a day; Date.parse alone takes "1 minute" for a date. */
const httpDate = (text: string): number => (/^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)/.test(text) ? Date.parse(text) : NaN);
