import { PullringError, type Clock } from "@pullring/core";

import type { Log } from "./config.ts";
import type { AccountLane } from "./lanes.ts";
import { limits } from "./limits.ts";

/** An account's name and password, as an Authorization header (RFC 7617). */
export interface Login {
  /** The account's name: one password, however many egresses. */
  readonly account: string;
  readonly basic: string;
}

/** The credentials of accounts, and which of them an upstream has refused. */
export interface Logins {
  /** undefined for an anonymous lane. Rejects with `unavailable` for an account that is benched or has no password. */
  open(lane: AccountLane): Promise<Login | undefined>;
  /** Upstream has taken these credentials. */
  accept(login: Login): void;
  isProven(login: Login): boolean;
  /** Whether the account of a lane was refused, and is not tried again yet. */
  isBenched(lane: AccountLane): boolean;
  /** Benches the account, longer each time; new credentials end it. Returns what to throw. */
  refuse(login: Login): PullringError;
  /** Another node was refused: this one tries the same account no sooner, unless its own credentials have been taken or change. Never rejects. */
  heed(lane: AccountLane, forSec: number): Promise<void>;
}

export interface LoginsOptions {
  readonly upstream: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Told of each refusal that benches an account, and for how long. */
  readonly onRefused: (account: string, forSec: number) => void;
}

interface Standing {
  /** Credentials that were taken. */
  proven?: string;
  refused?: { readonly basic: string; readonly untilMs: number; readonly times: number };
}

async function read({ account }: AccountLane): Promise<Login | undefined> {
  if (!account) return undefined;
  const password = await account.password.read();
  return {
    account: account.name,
    basic: `Basic ${Buffer.from(`${account.username}:${password}`).toString("base64")}`,
  };
}

const pauseMsAfter = (times: number): number => Math.min(limits.benchMsMax, limits.benchMs * 2 ** (times - 1));

/** How many refusals a pause stands for. */
const timesOf = (pauseMs: number): number => Math.max(1, 1 + Math.round(Math.log2(pauseMs / limits.benchMs)));

export function makeLogins({ upstream, clock, log, onRefused }: LoginsOptions): Logins {
  const standings = new Map<string, Standing>();

  function standingOf(account: string): Standing {
    const standing = standings.get(account) ?? {};
    standings.set(account, standing);
    return standing;
  }

  const benched = (account: string, leftMs: number): PullringError =>
    new PullringError("unavailable", `${upstream} refuses the credentials of ${account}`, {
      reason: "refused",
      retryAfterSec: Math.ceil(leftMs / 1000),
    });

  function refuse({ account, basic }: Login): PullringError {
    const standing = standingOf(account);
    const { refused } = standing;
    if (refused?.basic === basic && refused.untilMs > clock.monotonic())
      return benched(account, refused.untilMs - clock.monotonic());
    const times = refused?.basic === basic ? refused.times + 1 : 1;
    const pauseMs = pauseMsAfter(times);
    standing.refused = { basic, times, untilMs: clock.monotonic() + pauseMs };
    delete standing.proven;
    log.error({ upstream, account, pauseSec: pauseMs / 1000 }, "upstream refuses the credentials of this account");
    // What can't be read here may be read there.
    if (basic !== "") onRefused(account, pauseMs / 1000);
    return benched(account, pauseMs);
  }

  return {
    async open(lane) {
      const account = lane.account?.name ?? "";
      const login = await read(lane).catch(() => ({ account, basic: "" }));
      if (!login) return undefined;
      if (login.basic === "") throw refuse(login);
      const { refused } = standingOf(account);
      const leftMs = refused?.basic === login.basic ? refused.untilMs - clock.monotonic() : 0;
      if (leftMs > 0) throw benched(account, leftMs);
      return login;
    },
    accept({ account, basic }) {
      const standing = standingOf(account);
      standing.proven = basic;
      delete standing.refused;
    },
    isProven: ({ account, basic }) => standings.get(account)?.proven === basic,
    isBenched: ({ account }) => (standings.get(account?.name ?? "")?.refused?.untilMs ?? 0) > clock.monotonic(),
    refuse,
    async heed(lane, forSec) {
      const login = await read(lane).catch(() => undefined);
      const standing = standingOf(lane.account?.name ?? "");
      if (!login || standing.proven === login.basic) return;
      const { account, basic } = login;
      const pauseMs = Math.min(limits.benchMsMax, forSec * 1000);
      const untilMs = clock.monotonic() + pauseMs;
      // This node's own word, or one that was heard already.
      if (standing.refused?.basic === basic && standing.refused.untilMs >= untilMs - limits.samePauseMs) return;
      log.warn({ upstream, account, pauseSec: forSec }, "upstream has refused this account on another node");
      // The next refusal here benches it for longer than that one did there.
      standing.refused = { basic, untilMs, times: timesOf(pauseMs) };
    },
  };
}
