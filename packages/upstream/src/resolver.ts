import { lookup as systemLookup, type LookupAddress } from "node:dns";
import type { LookupFunction } from "node:net";

import type { Clock } from "@pullring/core";

import { limits } from "./limits.ts";

type Addresses = readonly LookupAddress[];
export type Lookup = (host: string) => Promise<Addresses>;

/** By the system's resolver, so that /etc/hosts counts. */
const lookUpBySystem: Lookup = (host) =>
  new Promise((resolve, reject) => {
    systemLookup(host, { all: true, order: "verbatim" }, (error, found) => (error ? reject(error) : resolve(found)));
  });

/**
 * Looks hosts up: one lookup per host at a time, few at once, and the last good answer for 5 minutes when the resolver fails or
 * takes too long. Each lookup holds one of the threads that the disk needs too.
 */
export function makeResolver(clock: Clock, lookup: Lookup = lookUpBySystem): Lookup {
  const known = new Map<string, { addresses: Addresses; atMs: number }>();
  const flights = new Map<string, Promise<Addresses>>();
  const waiting: (() => void)[] = [];
  let running = 0;

  async function ask(host: string): Promise<Addresses> {
    while (running >= limits.lookupsMax) await new Promise<void>((resolve) => waiting.push(resolve));
    running += 1;
    try {
      const addresses = await lookup(host);
      known.delete(host);
      known.set(host, { addresses, atMs: clock.monotonic() });
      const oldest = known.size > limits.addressesMax ? known.keys().next().value : undefined;
      if (oldest !== undefined) known.delete(oldest);
      return addresses;
    } finally {
      running -= 1;
      flights.delete(host);
      waiting.shift()?.();
    }
  }

  function lastGood(host: string): Addresses | undefined {
    const last = known.get(host);
    return last && clock.monotonic() - last.atMs <= limits.addressKeptMs ? last.addresses : undefined;
  }

  return async (host) => {
    const flight = flights.get(host) ?? ask(host);
    flights.set(host, flight);
    const last = lastGood(host);
    if (!last) return flight;
    const done = new AbortController();
    const patience = clock.sleep(limits.lookupPatienceMs, done.signal);
    try {
      return await Promise.race([flight, patience.then(() => last)]).catch(() => last);
    } finally {
      done.abort();
    }
  };
}

/** As node:net wants it; `admit` throws for addresses that may not be dialled. */
export function toLookupFunction(
  resolve: Lookup,
  admit: (host: string, addresses: Addresses) => Addresses,
): LookupFunction {
  return (host, options, callback) => {
    const done = async (): Promise<Addresses> => {
      const found = await resolve(host);
      return admit(host, options.family ? found.filter(({ family }) => family === options.family) : found);
    };
    done().then(
      (addresses) => {
        const first = addresses[0];
        if (options.all) callback(null, [...addresses]);
        else if (first) callback(null, first.address, first.family);
        else callback(new Error("no address of this family"), "", 0);
      },
      (error: Error) => callback(error, "", 0),
    );
  };
}
