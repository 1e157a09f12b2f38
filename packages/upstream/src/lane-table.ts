import type { LaneBoard, LaneFacts, Pause } from "@pullring/core";

import type { CoolDowns } from "./cool-downs.ts";
import type { AccountLane, Lanes } from "./lanes.ts";
import type { Logins } from "./logins.ts";
import { assumedKey, type Payers } from "./payers.ts";
import { pauseKey } from "./sender.ts";

export interface LaneTableOptions {
  readonly upstream: string;
  readonly lanes: Lanes;
  readonly coolDowns: CoolDowns;
  readonly logins: Logins;
  readonly payers: Payers;
  readonly isDown: (lane: AccountLane) => boolean;
  /** False: the upstream counts nothing. */
  readonly isCounted: boolean;
  readonly board: LaneBoard | undefined;
}

/** The lanes of this node at one upstream, as others are told of them. */
export interface LaneTable {
  facts(): readonly LaneFacts[];
  /** Lanes of other nodes at this upstream. */
  others(): readonly LaneFacts[];
  /** Stops everything that goes out by this lane's address, on every node that has the same. */
  pause(lane: AccountLane, seconds: number): void;
  /** Tells the other nodes that an account was refused: each would be one failed login more, and Docker Hub locks a name after some. */
  refused(account: string, seconds: number): void;
  close(): void;
}

export function makeLaneTable(options: LaneTableOptions): LaneTable {
  const { upstream, lanes, coolDowns, logins, payers, isDown, isCounted, board } = options;

  function benchOf(lane: AccountLane): string | undefined {
    if (coolDowns.isCooling(pauseKey(lane))) return "paused";
    if (logins.isBenched(lane)) return "login";
    return isDown(lane) ? "egress" : undefined;
  }

  /**
   * The address that an upstream sees: the one that is configured, and what it has been called in an answer to somebody without a login. By both,
   * since other nodes that have the same address may not have been told the second yet.
   */
  function addressesOf({ egress, node }: AccountLane): readonly string[] {
    const nobody = lanes.all.find((lane) => lane.egress === egress && lane.account === undefined);
    const source = nobody && payers.of(nobody).source;
    const assumed = assumedKey(upstream, { name: "", access: "public", egress, node });
    return source === undefined ? [assumed] : [assumed, `${upstream} source:${source}`];
  }

  const loginKey = (account: string | undefined): string => `${upstream} login:${account}`;

  const begin = ({ key, forSec }: Pause): void => {
    for (const lane of lanes.all) if (addressesOf(lane).includes(key)) coolDowns.begin(pauseKey(lane), forSec);
    const refused = lanes.all.find(({ account }) => account && loginKey(account.name) === key);
    if (refused) void logins.heed(refused, forSec);
  };
  const stop = board?.onPause(begin);

  return {
    facts: () =>
      lanes.all.map((lane) => {
        const { key, source, isUnmetered } = payers.of(lane);
        return {
          name: lane.name,
          upstream,
          account: lane.account?.name,
          egress: lane.egress.name,
          node: lane.node,
          budget: isCounted ? key : undefined,
          source,
          unmetered: isUnmetered,
          benched: benchOf(lane),
        };
      }),
    others: () => board?.others().filter((lane) => lane.upstream === upstream) ?? [],
    pause(lane, seconds) {
      for (const key of addressesOf(lane)) {
        begin({ key, forSec: seconds });
        board?.pause({ key, forSec: seconds });
      }
    },
    refused: (account, forSec) => board?.pause({ key: loginKey(account), forSec }),
    close: () => stop?.(),
  };
}
