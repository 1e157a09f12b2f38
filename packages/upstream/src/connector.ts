import { isIP, type OnReadOpts, type Socket } from "node:net";

import type { Clock } from "@pullring/core";
import { buildConnector } from "undici";

import type { AddressGuard } from "./addresses.ts";
import type { UpstreamConfig } from "./config.ts";
import type { Egress } from "./egress.ts";
import { limits } from "./limits.ts";
import { toLookupFunction, type Lookup } from "./resolver.ts";
import { openTunnel } from "./tunnel.ts";
import { WireError } from "./wire-error.ts";

export interface ConnectorOptions {
  readonly upstream: UpstreamConfig;
  readonly egress: Egress;
  readonly clock: Clock;
  readonly guard: AddressGuard;
  readonly resolve: Lookup;
  /** Origins that the operator has written down; they may lie anywhere. */
  readonly trustedOrigins: ReadonlySet<string>;
  /** How sockets are read, where not as streams. */
  readonly onread?: OnReadOpts;
}

/** undici's connectors return their socket, its types don't say so. */
type Dial = (options: buildConnector.Options, callback: buildConnector.Callback) => Socket | undefined;

/**
 * Connects for one upstream. The address is checked here, after the name was resolved and as the socket will use it: a check of the URL
 * alone would be passed by a name that resolves to a private address.
 */
export function makeConnector(options: ConnectorOptions): buildConnector.connector {
  const { upstream, egress, clock, guard, resolve, trustedOrigins, onread } = options;
  const { localAddress, proxy } = egress;
  const refusal = (host: string): WireError =>
    new WireError("forbidden", `${host} is at an address that may not be dialled`);

  /** A socket that is bound to an address reaches those of its own family only. */
  const reachable: Lookup = async (host) => {
    const addresses = await resolve(host);
    return localAddress === undefined ? addresses : addresses.filter(({ family }) => family === isIP(localAddress));
  };
  const openly = toLookupFunction(reachable, (_, addresses) => addresses);
  const guarded = toLookupFunction(reachable, (host, addresses) => {
    const admitted = addresses.filter(({ address }) => !guard.refusesAddress(address));
    if (admitted.length === 0) throw refusal(host);
    return admitted;
  });

  const build = (ca: string | undefined) => {
    const common = {
      allowH2: false,
      timeout: 0,
      ...(onread && { onread }),
      ...(ca !== undefined && { ca }),
    };
    return {
      open: buildConnector({ ...common, lookup: openly }) as Dial,
      guarded: buildConnector({ ...common, lookup: guarded }) as Dial,
    };
  };
  let ca = upstream.ca?.();
  let dials = build(ca);

  const inTime = (dial: Dial, target: buildConnector.Options, callback: buildConnector.Callback): void =>
    dialInTime(dial, { target, callback, clock });

  /** The proxy resolves names, so what stands behind one can't be checked here: that is left to its operator. */
  function through(proxy: URL, target: buildConnector.Options, callback: buildConnector.Callback): void {
    const port = Number(target.port) || (target.protocol === "https:" ? 443 : 80);
    openTunnel(proxy, { host: target.hostname.replace(/^\[|\]$/g, ""), port }, clock).then(
      (httpSocket) => {
        if (target.protocol === "https:") inTime(dials.open, { ...target, httpSocket }, callback);
        else callback(null, httpSocket);
      },
      (error: Error) => callback(error, null),
    );
  }

  return (target, callback) => {
    const current = upstream.ca?.();
    if (current !== ca) dials = build((ca = current));
    const trusted = upstream.allowPrivateAddresses || trustedOrigins.has(originOf(target));
    if (!trusted && guard.refusesHost(target.hostname)) {
      process.nextTick(() => callback(refusal(target.hostname), null));
      return;
    }
    if (proxy) return through(proxy, target, callback);
    // The connector takes it from here, and not from its own options.
    const from = localAddress === undefined ? target : { ...target, localAddress };
    inTime(trusted ? dials.open : dials.guarded, from, callback);
  };
}

interface InTime {
  readonly target: buildConnector.Options;
  readonly callback: buildConnector.Callback;
  readonly clock: Clock;
}

/** TLS included. */
function dialInTime(dial: Dial, { target, callback, clock }: InTime): void {
  const done = new AbortController();
  const socket = dial(target, (...args) => {
    done.abort();
    callback(...args);
  });
  clock.sleep(limits.connectMs, done.signal).then(
    () => socket?.destroy(new WireError("unreachable", `no connection within ${limits.connectMs} ms`)),
    () => {},
  );
}

const originOf = ({ protocol, host }: buildConnector.Options): string => new URL(`${protocol}//${host}`).origin;
