import { BlockList, isIP, isIPv4 } from "node:net";

const subnets = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "224.0.0.0/4",
  "240.0.0.0/4",
  // Azure's metadata and DNS; every other cloud's lies in one of the ranges above.
  "168.63.129.16/32",
  // Unspecified, loopback and IPv4-compatible; IPv4-mapped; NAT64 (RFC 6052, RFC 8215); 6to4; Teredo: what they reach is IPv4.
  "::/96",
  "::ffff:0:0/96",
  "64:ff9b::/96",
  "64:ff9b:1::/48",
  "2002::/16",
  "2001::/32",
  "100::/64",
  "fc00::/7",
  "fe80::/10",
  "fec0::/10",
  "ff00::/8",
];

const names = /^(?:localhost|.+\.localhost|metadata(?:\..*)?|.+\.internal|kubernetes\.default(?:\..*)?)$/;

/** Addresses and names that nobody but the operator may make this process dial. */
export interface AddressGuard {
  /** Whether a resolved address may not be dialled. What is no address may not either. */
  refusesAddress(address: string): boolean;
  /** Whether a URL's host, a name or a literal address, may not even be looked up. */
  refusesHost(host: string): boolean;
}

export function makeAddressGuard(): AddressGuard {
  // One list for both would take every IPv4 address for its IPv4-mapped form, which is refused.
  const blocked = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const subnet of subnets) {
    const [network = "", prefix] = subnet.split("/");
    const family = isIPv4(network) ? "ipv4" : "ipv6";
    blocked[family].addSubnet(network, Number(prefix), family);
  }

  const refusesAddress = (address: string): boolean => {
    // A zone (fe80::1%eth0) would pass BlockList as unreadable.
    if (isIP(address) === 0 || address.includes("%")) return true;
    const family = isIPv4(address) ? "ipv4" : "ipv6";
    return blocked[family].check(address, family);
  };

  return {
    refusesAddress,
    refusesHost(host) {
      const bare = host.replace(/^\[|\]$/g, "").replace(/\.$/, "");
      return isIP(bare) === 0 ? names.test(bare.toLowerCase()) : refusesAddress(bare);
    },
  };
}
