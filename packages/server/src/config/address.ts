import { isIP } from "node:net";

import type { ListenAddress, Network } from "./config.ts";
import { hostName } from "./names.ts";
import type { Kind } from "./scalar.ts";

function parsePort(text: string): number | undefined {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined;
}

function parseListen(found: unknown): ListenAddress | undefined {
  if (typeof found !== "string") return undefined;
  const [, bracketed, plain = "", digits = ""] = /^(?:\[([^\]]+)\]|([^:]+)):([^:]+)$/.exec(found) ?? [];
  const port = parsePort(digits);
  if (port === undefined) return undefined;
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? { host: bracketed, port } : undefined;
  // A name of digits and dots that is no address is a mistyped address.
  const isHost = isIP(plain) === 4 || (hostName.test(plain) && !/^[\d.]+$/.test(plain));
  return isHost ? { host: plain, port } : undefined;
}

export const listenKind: Kind<ListenAddress> = {
  type: "address",
  allowed: "host:port such as 0.0.0.0:5000, 127.0.0.1:5000 or [::]:5000",
  parse: parseListen,
};

/** An address to dial. */
export const dialKind: Kind<ListenAddress> = {
  type: "address",
  allowed: "host:port such as sentinel-1:26379",
  parse(found) {
    const address = parseListen(found);
    return address && address.port > 0 ? address : undefined;
  },
};

export function formatListen({ host, port }: ListenAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function parseNetwork(found: unknown): Network | undefined {
  if (typeof found !== "string") return undefined;
  const [, address = "", prefix] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(found) ?? [];
  const version = isIP(address);
  if (version === 0) return undefined;
  const bits = version === 4 ? 32 : 128;
  const prefixBits = prefix === undefined ? bits : Number(prefix);
  return prefixBits <= bits ? { address, prefixBits, family: version === 4 ? "ipv4" : "ipv6" } : undefined;
}

export const networkKind: Kind<Network> = {
  type: "network",
  allowed: "an address or a network such as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32",
  parse: parseNetwork,
};

export const ipKind: Kind<string> = {
  type: "IP address",
  allowed: "an IPv4 or IPv6 address such as 203.0.113.10",
  parse: (found) => (typeof found === "string" && isIP(found) !== 0 ? found : undefined),
};

/** It may hold a login; there is nothing behind its port. */
export const proxyKind: Kind<URL> = {
  type: "URL",
  allowed: "http://host:port or socks5://host:port, perhaps with user:password@ before the host",
  parse(found) {
    if (typeof found !== "string" || !/^(?:http|socks5):\/\/[^/?#\s]+\/?$/i.test(found)) return undefined;
    const url = URL.parse(found);
    return url && url.hostname !== "" ? url : undefined;
  },
};

export const formatNetwork = ({ address, prefixBits }: Network): string => `${address}/${prefixBits}`;
