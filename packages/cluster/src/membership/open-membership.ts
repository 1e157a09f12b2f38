import { EpochsSeen } from "./epochs-seen.ts";
import { followRedis } from "./follow-redis.ts";
import { formatDocument, parseDocument } from "./member.ts";
import type { Membership, MembershipOptions } from "./membership.ts";
import { PeerHealth } from "./peer-health.ts";
import { Roster } from "./roster.ts";
import { staticMembers } from "./static-members.ts";

/** Rejects with a DuplicateNodeError when another living process has this node's id. The node is `joining` until `activate`. */
export async function openMembership(options: MembershipOptions): Promise<Membership> {
  const { self, clock, source, log, algorithm = "ketama" } = options;
  // Others would ignore it, and nobody would know why.
  if (!parseDocument(self.id, formatDocument({ ...self, state: "joining" })))
    throw new Error(`${JSON.stringify(self)} is no member that others would take`);
  const health = new PeerHealth(clock);
  const epochs = new EpochsSeen(clock);
  const feed =
    "beats" in source
      ? followRedis({ ...options, beats: source.beats, onGone: (node) => health.forget(node) })
      : staticMembers(self, source.members);
  const roster = new Roster({ self, others: feed.others, health, clock, algorithm });
  await feed.start(() => roster.refresh());

  const turn = (state: "active" | "leaving"): Promise<boolean> => {
    roster.state = state;
    return feed.tell(state);
  };
  return {
    self: self.id,
    of: (key) => roster.of(key),
    others: (key) => roster.others(key),
    ring: () => roster.ring,
    nodes: () => roster.nodes(),
    urlOf: (node) => roster.urlOf(node),
    onChange: (listener) => roster.onChange(listener),
    report(node, report) {
      const turned = roster.has(node) ? health.report(node, report) : undefined;
      if (turned === "benched") log.warn({ peer: node, report }, "a peer is left out for a while");
      if (turned === "back") log.info({ peer: node }, "a peer answers again");
    },
    sawEpoch: (epoch) => epochs.add(epoch),
    epochsSeen: () => epochs.count(roster.ring.epoch),
    status: () => feed.status(),
    activate: () => turn("active"),
    drain: () => turn("leaving"),
    undrain: () => turn("active"),
    async leave() {
      await turn("leaving");
      await feed.stop(true);
    },
    close: () => feed.stop(false),
  };
}
