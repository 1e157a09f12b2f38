import type { Feed } from "./feed.ts";
import type { Member } from "./member.ts";

/** A list that never changes, and is not told anything: who drains is known to itself only. */
export function staticMembers(self: Member, members: readonly Member[]): Feed {
  if (!members.some(({ id }) => id === self.id)) throw new Error(`the list of members lacks this node, ${self.id}`);
  const others = members.filter(({ id }) => id !== self.id);
  const known = others.map((member) => {
    return { ...member, state: "active", incarnation: "", version: "", lastSeenMs: 0 } as const;
  });
  return {
    others: { known: () => known, inRing: () => others },
    start: () => Promise.resolve(),
    tell: (state) => Promise.resolve(state === "active"),
    status: () => ({ source: "static", isSuperseded: false, ignoredRows: 0, reasons: [] }),
    stop: () => Promise.resolve(),
  };
}
