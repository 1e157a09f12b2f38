import { membershipLimits as limits } from "../limits.ts";

type LogLine = (facts: Record<string, unknown>, message: string) => void;

export interface MembershipLog {
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;
}

/** What strangers can cause as often as they like is logged once for each subject, and never more than so many times in all. */
export function warnOnce(log: MembershipLog): (subject: string, message: string) => void {
  const told = new Set<string>();
  return (subject, message) => {
    const key = `${message} ${subject}`;
    if (told.has(key) || told.size >= limits.warningsMax) return;
    told.add(key);
    log.warn({ subject }, message);
  };
}
