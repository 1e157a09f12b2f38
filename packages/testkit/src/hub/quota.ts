import { createHash } from "node:crypto";
import { isIPv6 } from "node:net";
import type { HubAccount, HubKnobs } from "./knobs.ts";

/** Who is charged for a pull. */
export interface Payer {
  /** `account:<username>` or `address:<IPv4, or IPv6 /64>`. */
  readonly key: string;
  /** What `docker-ratelimit-source` says. */
  readonly source: string;
  /** undefined = unlimited. */
  readonly limit: number | undefined;
  readonly windowSec: number;
}

/** Whose quota a test asks about; neither = anonymous from 127.0.0.1. */
export interface QuotaOwner {
  readonly account?: string;
  readonly address?: string;
}

interface Spending {
  windowStartedAt: number;
  /** In manifest GETs. */
  gets: number;
}

export type Quota = ReturnType<typeof makeQuota>;

export const accountLimit = (account: HubAccount): number | undefined =>
  account.plan === "paid" ? undefined : (account.limit ?? 200);

/** A stable UUID-looking id for a username. */
export function accountId(username: string): string {
  const hex = createHash("sha256").update(username).digest("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join("-");
}

/** The address that is charged: IPv4 as it is, IPv6 masked to /64. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const [head = "", tail] = address.split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - front.length - back.length }, () => "0");
  const groups = [...front, ...zeros, ...back].slice(0, 4);
  return `${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(":")}::`;
}

export function makeQuota(knobs: HubKnobs, now: () => number) {
  const spendings = new Map<string, Spending>();

  function payer(account: HubAccount | undefined, address: string): Payer {
    if (account === undefined) {
      const source = networkOf(address);
      return { key: `address:${source}`, source, limit: knobs.anonymousLimit, windowSec: knobs.anonymousWindowSec };
    }
    const { username, windowSec = 21_600 } = account;
    return { key: `account:${username}`, source: accountId(username), limit: accountLimit(account), windowSec };
  }

  function spending({ key, windowSec }: Payer): Spending {
    const known = spendings.get(key);
    if (known !== undefined && now() < known.windowStartedAt + windowSec * 1000) return known;
    const fresh = { windowStartedAt: now(), gets: 0 };
    spendings.set(key, fresh);
    return fresh;
  }

  const getsPerPull = (): number => (knobs.count === "every-2nd-get" ? 2 : 1);

  function remainingOf(who: Payer): number | undefined {
    return who.limit === undefined
      ? undefined
      : Math.max(0, who.limit - Math.floor(spending(who).gets / getsPerPull()));
  }

  function ownerOf({ account, address = "127.0.0.1" }: QuotaOwner): Payer {
    const found = knobs.accounts.find(({ username }) => username === account);
    if (account !== undefined && found === undefined) throw new Error(`no account ${account}`);
    return payer(found, address);
  }

  return {
    payer,
    /** Pulls left in this window; undefined = unlimited. */
    remaining: (owner: QuotaOwner = {}): number | undefined => remainingOf(ownerOf(owner)),
    /** Leaves so many pulls in this window. */
    setRemaining(remaining: number, owner: QuotaOwner = {}): void {
      const who = ownerOf(owner);
      spending(who).gets = Math.max(0, ((who.limit ?? remaining) - remaining) * getsPerPull());
    },
    reset: (): void => spendings.clear(),
    /** Whether a GET of this manifest would be refused now. */
    isSpent: (who: Payer): boolean => remainingOf(who) === 0,
    /** Charges one manifest GET; tells whether it left fewer pulls than before. */
    charge(who: Payer): boolean {
      if (who.limit === undefined) return false;
      const account = spending(who);
      account.gets += 1;
      return account.gets % getsPerPull() === 0;
    },
    headers(who: Payer): Record<string, string> {
      const remaining = remainingOf(who);
      const source = { "docker-ratelimit-source": who.source };
      if (remaining === undefined || !knobs.rateHeaders) return source;
      return {
        "ratelimit-limit": `${who.limit};w=${who.windowSec}`,
        "ratelimit-remaining": `${remaining};w=${who.windowSec}`,
        ...source,
      };
    },
  };
}
