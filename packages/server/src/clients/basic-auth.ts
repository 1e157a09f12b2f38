import { createHmac, randomBytes } from "node:crypto";

import { verify } from "@node-rs/bcrypt";
import type { Clock } from "@pullring/core";

import { makeFailureLimit } from "./failure-limit.ts";
import type { Users } from "./htpasswd.ts";

const rememberedMs = 60_000;
const rememberedMax = 10_000;
const failures = { failuresMax: 10, windowMs: 60_000, clientsMax: 10_000 } as const;

/** bcrypt runs on the threads that also read files for everybody: some must stay free. */
const verifyingMax = 2;
const waitingMax = 64;

const credentialsBytesMax = 1024;

export type Verdict =
  | { readonly kind: "user"; readonly name: string }
  | { readonly kind: "refused" }
  | { readonly kind: "throttled"; readonly retryAfterSec: number };

export interface BasicAuthOptions {
  /** The users as they are now; a changed file is its business. */
  readonly users: { current(): Users };
  readonly clock: Clock;
  /** Runs off the main thread. */
  readonly verifyPassword?: (password: Buffer, hash: string) => Promise<boolean>;
}

export interface BasicAuth {
  /** Judges an Authorization header (RFC 7617) that came from `address`. */
  check(authorization: string | undefined, address: string): Promise<Verdict>;
}

interface Login {
  readonly name: string;
  readonly password: Buffer;
  /** Of name and password, under a key that only this process knows. */
  readonly key: string;
}

const refused: Verdict = { kind: "refused" };

/**
 * A login that was right is remembered for a minute, as long as its user keeps that hash: clients send it with every request, and
 * bcrypt is meant to be slow. Remembered logins are found by a keyed hash, so that the time of a lookup tells nothing.
 */
export function makeBasicAuth({ users, clock, verifyPassword = verify }: BasicAuthOptions): BasicAuth {
  const secret = randomBytes(32);
  const remembered = new Map<string, { readonly hash: string; readonly until: number }>();
  const running = new Map<string, Promise<Verdict>>();
  const limit = makeFailureLimit({ ...failures, clock });
  const enter = makeGate();

  function remember(key: string, hash: string): void {
    remembered.delete(key);
    remembered.set(key, { hash, until: clock.monotonic() + rememberedMs });
    const oldest = remembered.size > rememberedMax ? remembered.keys().next() : undefined;
    if (oldest && !oldest.done) remembered.delete(oldest.value);
  }

  function isRemembered({ key, name }: Login, known: Users): boolean {
    const entry = remembered.get(key);
    if (entry && entry.until > clock.monotonic() && entry.hash === known.get(name)) return true;
    remembered.delete(key);
    return false;
  }

  async function attempt({ key, name, password }: Login, known: Users, address: string): Promise<Verdict> {
    const retryAfterSec = limit.take(address);
    if (retryAfterSec > 0) return { kind: "throttled", retryAfterSec };
    const hash = known.get(name);
    let failed = false;
    try {
      const leave = await enter();
      if (!leave) return { kind: "throttled", retryAfterSec: 1 };
      try {
        // Someone else's hash costs an unknown user the time of a known one.
        const right = await verifyPassword(password, hash ?? decoyOf(known));
        failed = hash === undefined || !right;
      } finally {
        leave();
      }
      if (failed || hash === undefined) return refused;
      remember(key, hash);
      return { kind: "user", name };
    } finally {
      if (!failed) limit.giveBack(address);
    }
  }

  return {
    async check(authorization, address) {
      const login = parseLogin(authorization, secret);
      if (!login) return refused;
      const known = users.current();
      if (isRemembered(login, known)) return { kind: "user", name: login.name };
      // A client that pulls six layers at once asks six times at once.
      const flight = `${login.key} ${address} ${known.get(login.name)}`;
      const verdict = running.get(flight) ?? attempt(login, known, address).finally(() => running.delete(flight));
      running.set(flight, verdict);
      return verdict;
    },
  };
}

/** Undefined for a header that holds no login; control characters have no place in one (RFC 7617 §2). */
function parseLogin(authorization: string | undefined, secret: Buffer): Login | undefined {
  const encoded = /^basic +([\w+/-]+={0,2}) *$/i.exec(authorization ?? "")?.[1] ?? "";
  const login = Buffer.from(encoded, "base64");
  const colon = login.indexOf(":");
  if (colon <= 0 || login.length > credentialsBytesMax || login.some((byte) => byte < 0x20 || byte === 0x7f))
    return undefined;
  const key = createHmac("sha256", secret).update(login).digest("base64");
  return { name: login.toString("utf8", 0, colon), password: login.subarray(colon + 1), key };
}

const decoyOf = (known: Users): string => known.values().next().value ?? emptyFileDecoy;

/** Of no password that anybody knows; cost 10. */
const emptyFileDecoy = "$2b$10$Mq7fK2Rzi2CHejQU28ZFyOlrpdQtrAFLuInJ/0bHHfiHFMhOjEPVO";

/** Lets `verifyingMax` in at once and `waitingMax` wait; the rest gets undefined. */
function makeGate(): () => Promise<(() => void) | undefined> {
  const waiting: (() => void)[] = [];
  let inside = 0;
  function leave(): void {
    const next = waiting.shift();
    if (next) next();
    else inside -= 1;
  }
  return async () => {
    if (inside >= verifyingMax) {
      if (waiting.length >= waitingMax) return undefined;
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else inside += 1;
    return leave;
  };
}
