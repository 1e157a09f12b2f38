import type { Clock, NodeId, Owners } from "@pullring/core";
import { makeRing, type Ring } from "@pullring/hash-ring";

import type { Member, MemberState } from "./member.ts";
import type { KnownMember } from "./member-table.ts";
import type { PeerHealth } from "./peer-health.ts";

/** A row of the admin API's ring. */
export interface NodeRow extends Member {
  readonly state: MemberState;
  /** Of all keys; 0 for who is not in the ring. */
  readonly share: number;
  /** How long ago it was heard of, by Redis or by an answer; 0 for this node. */
  readonly lastSeenMs: number;
  readonly benched: boolean;
}

/** Where the other members come from. Answers are at hand. */
export interface Others {
  known(nowMs: number): readonly KnownMember[];
  inRing(): readonly Member[];
}

export interface RosterOptions {
  readonly self: Member;
  readonly others: Others;
  readonly health: PeerHealth;
  readonly clock: Clock;
  readonly algorithm: "ketama" | "rendezvous";
}

/** This node's view of the cluster: the ring, who is beside it, who is benched. */
export class Roster implements Owners {
  readonly self: NodeId;
  readonly #options: RosterOptions;
  readonly #listeners = new Set<() => void>();
  #state: MemberState = "joining";
  #ring: Ring;
  #members = new Map<NodeId, KnownMember>();
  #facts = "";

  constructor(options: RosterOptions) {
    this.#options = options;
    this.self = options.self.id;
    this.#ring = this.#build([options.self]);
    this.refresh();
  }

  get ring(): Ring {
    return this.#ring;
  }

  get state(): MemberState {
    return this.#state;
  }

  set state(state: MemberState) {
    this.#state = state;
    this.refresh();
  }

  of(key: string): readonly NodeId[] {
    const { health } = this.#options;
    const found: NodeId[] = [];
    let hasSelf = false;
    for (const id of this.#ring.successors(key)) {
      hasSelf ||= id === this.self;
      if (id === this.self || !health.isBenched(id)) found.push(id);
    }
    if (!hasSelf) found.push(this.self);
    return found;
  }

  others(key: string): readonly NodeId[] {
    const inRing = this.#ring.successors(key).filter((id) => id !== this.self);
    const seen = new Set(inRing);
    const beside = [...this.#members.keys()].filter((id) => !seen.has(id)).sort();
    return [...inRing, ...beside].filter((id) => !this.#options.health.isBenched(id));
  }

  has(node: NodeId): boolean {
    return this.#members.has(node);
  }

  urlOf(node: NodeId): string | undefined {
    return node === this.self ? this.#options.self.url : this.#members.get(node)?.url;
  }

  nodes(): readonly NodeRow[] {
    const { self, health, clock } = this.#options;
    const shares = this.#ring.shares();
    const own = { ...pick(self), state: this.#state, lastSeenMs: 0, benched: false };
    const rest = this.#options.others.known(clock.monotonic()).map((member) => ({
      ...pick(member),
      state: member.state,
      lastSeenMs: Math.round(Math.min(member.lastSeenMs, health.okAgoMs(member.id) ?? Infinity)),
      benched: health.isBenched(member.id),
    }));
    return [own, ...rest]
      .map((row) => ({ ...row, share: shares.get(row.id) ?? 0 }))
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Looks at the others again. Listeners are called when a member, its state or its place has changed. */
  refresh(): void {
    const { self, others, clock } = this.#options;
    const known = others.known(clock.monotonic());
    const inRing = others.inRing();
    const all = this.#state === "leaving" && inRing.length > 0 ? inRing : [self, ...inRing];
    const facts = JSON.stringify([this.#state, all, known.map((member) => [pick(member), member.state])]);
    if (facts === this.#facts) return;
    const isFirst = this.#facts === "";
    this.#facts = facts;
    this.#members = new Map(known.map((member) => [member.id, member]));
    this.#ring = this.#build(all);
    if (!isFirst) for (const listener of this.#listeners) listener();
  }

  /**
   * Two ids with one ring name are a node that came back under another id: points of both would be the same. This node goes first,
   * then who comes first by id; the epoch, which knows no ids, is everybody's own.
   */
  #build(members: readonly Member[]): Ring {
    const { self, algorithm } = this.#options;
    const named = new Map<string, Member>();
    const ordered = [...members].sort((a, b) => (a.id === self.id ? -1 : b.id === self.id ? 1 : a.id < b.id ? -1 : 1));
    for (const member of ordered) if (!named.has(member.ringName)) named.set(member.ringName, member);
    return makeRing(
      [...named.values()].map(({ id, ringName, weight }) => ({ id, ringName, weight })),
      { algorithm },
    );
  }
}

const pick = ({ id, url, ringName, weight }: Member): Member => ({ id, url, ringName, weight });
