import type { AccountLane } from "./lanes.ts";
import type { Login, Logins } from "./logins.ts";

interface Asker {
  readonly lane: AccountLane;
  readonly login: Login | undefined;
}

/** Runs what brings a login along. Rejects as `Logins.open` does when the same credentials were refused meanwhile. */
export type FirstLogin = <T>(asker: Asker, ask: () => Promise<T>) => Promise<T>;

/**
 * Credentials that were never taken go out once, and the other lanes of that account wait for what comes of it: a wrong password is
 * one failed login then, of the few after which Docker Hub locks the name.
 */
export function makeFirstLogin(logins: Logins): FirstLogin {
  const running = new Map<string, Promise<unknown>>();

  return async ({ lane, login }, ask) => {
    if (!login) return ask();
    const { account } = login;
    for (let first = running.get(account); first && !logins.isProven(login); first = running.get(account)) {
      await first.catch(() => {});
      await logins.open(lane);
    }
    if (logins.isProven(login)) return ask();
    const asked = ask().finally(() => running.delete(account));
    running.set(account, asked);
    return asked;
  };
}
