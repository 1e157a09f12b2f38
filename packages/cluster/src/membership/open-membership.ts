import { BenchedPeers } from "./benched-peers.ts";
import { EpochsSeen } from "./epochs-seen.ts";
import { followRedis } from "./follow-redis.ts";
import { formatDocument, parseDocument } from "./member.ts";
import type { Membership, MembershipOptions } from "./membership.ts";
import { PeerHealth } from "./peer-health.ts";
import { Roster } from "./roster.ts";
import { staticMembers } from "./static-members.ts";

/** Rejects with a DuplicateNodeError when another living process has this node's id. The node is `joining` until `activate`. */
export async function openMembership(options: MembershipOptions): Promise<Membership> {
  const { self, clock, source, log, greet, algorithm = "ketama" } = options;
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

  const report: Membership["report"] = (node, found) => {
    const turned = roster.has(node) ? health.report(node, found) : undefined;
    if (turned === "benched") {
      log.warn({ peer: node, report: found }, "a peer is left out until it answers again");
      benched.add(node);
    }
    if (turned === "back") log.info({ peer: node }, "a peer answers again");
  };
  const benched = new BenchedPeers({
    clock,
    isBenched: (node) => health.isBenched(node),
    async ask(node) {
      const url = roster.urlOf(node);
      // Who is no member any more starts with a clean name, should he come again.
      await (url === undefined ? health.forget(node) : greet(url, node));
    },
    onBack: (node) => report(node, "ok"),
  });
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
    report,
    sawEpoch: (epoch) => epochs.add(epoch),
    epochsSeen: () => epochs.count(roster.ring.epoch),
    status: () => feed.status(),
    activate: () => turn("active"),
    drain: () => turn("leaving"),
    undrain: () => turn("active"),
    async leave() {
      await turn("leaving");
      benched.close();
      await feed.stop(true);
    },
    close() {
      benched.close();
      return feed.stop(false);
    },
  };
}
