import { isIPv6 } from "node:net";

import type { BudgetKey, Told } from "@pullring/core";

import { headerOf } from "./headers.ts";
import type { AccountLane } from "./lanes.ts";
import type { Answer } from "./redirects.ts";

/** Who an upstream charges for what a lane asks. */
export interface Payer {
  readonly key: BudgetKey;
  /** As upstream named it; undefined until then. */
  readonly source: string | undefined;
  /** Its answers carry no rate headers, as those of a paid account. */
  readonly isUnmetered: boolean;
  /** Upstream has answered a question about a manifest by this lane. */
  readonly isHeard: boolean;
}

export interface Payers {
  of(lane: AccountLane): Payer;
  /** Takes in what an answer of the registry about a manifest says, and tells what it says of the budget. */
  learn(lane: AccountLane, answer: Answer): Told | undefined;
}

/** Until upstream has spoken an account is taken for one payer, and an address for another. */
export function makePayers(upstream: string): Payers {
  const known = new Map<string, Payer>();

  const of = (lane: AccountLane): Payer =>
    known.get(lane.name) ?? { key: assumedKey(upstream, lane), source: undefined, isUnmetered: false, isHeard: false };

  return {
    of,
    learn(lane, { status, headers, direct }) {
      if (!direct || status === 401 || status >= 500) return undefined;
      const before = of(lane);
      const source = sourceOf(headerOf(headers, "docker-ratelimit-source")) ?? before.source;
      const told = toldOf(headerOf(headers, "ratelimit-limit"), headerOf(headers, "ratelimit-remaining"));
      // An exempt image has no rate headers either: of an address they say nothing.
      const isUnmetered = told ? false : before.isUnmetered || (status === 200 && lane.account !== undefined);
      const key = source === undefined ? before.key : `${upstream} source:${source}`;
      known.set(lane.name, { key, source, isUnmetered, isHeard: true });
      return told;
    },
  };
}

/** What an address alone is charged as, for pauses that concern the address and not the account. */
export const assumedKey = (upstream: string, { account, egress, node }: AccountLane): BudgetKey =>
  account ? `${upstream} account:${account.name}` : `${upstream} ${egressKey(egress, node)}`;

/** The same for two lanes of one address, or of one IPv6 /64; a proxy or the default route is one for each node. */
function egressKey({ name, localAddress }: AccountLane["egress"], node: string): string {
  return `egress:${localAddress === undefined ? `${name}@${node}` : networkOf(localAddress)}`;
}

const sourceGrammar = /^[\w.:/-]{1,128}$/;

function sourceOf(header: string | undefined): string | undefined {
  const text = header?.trim() ?? "";
  return sourceGrammar.test(text) ? networkOf(text) : undefined;
}

/** An IPv6 address as its /64, which is what Docker Hub charges; everything else as it is. */
export function networkOf(address: string): string {
  const [bare = ""] = address.split("/");
  if (!isIPv6(bare)) return address;
  const { hostname } = new URL(`http://[${bare}]`);
  const [front = "", back = ""] = hostname.slice(1, -1).split("::");
  const head = front === "" ? [] : front.split(":");
  const tail = hostname.includes("::") ? (back === "" ? [] : back.split(":")) : [];
  const zeros = hostname.includes("::") ? Array.from({ length: 8 - head.length - tail.length }, () => "0") : [];
  return `${[...head, ...zeros, ...tail].slice(0, 4).join(":")}::/64`;
}

/** `100;w=21600`: whichever window it says, and none that makes no sense. */
function toldOf(limitText: string | undefined, remainingText: string | undefined): Told | undefined {
  const limit = countOf(limitText);
  const remaining = countOf(remainingText);
  if (!limit || !remaining) return undefined;
  const windowSec = limit.windowSec ?? remaining.windowSec;
  return windowSec === undefined ? undefined : { limit: limit.count, remaining: remaining.count, windowSec };
}

function countOf(
  text: string | undefined,
): { readonly count: number; readonly windowSec: number | undefined } | undefined {
  const [, count, window] = /^(\d{1,9})(?:\s*;\s*w=(\d{1,9}))?$/i.exec(text?.trim() ?? "") ?? [];
  if (count === undefined) return undefined;
  const windowSec = Number(window);
  return { count: Number(count), windowSec: windowSec > 0 ? windowSec : undefined };
}
