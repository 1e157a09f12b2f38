import { BlockList, isIP, SocketAddress } from "node:net";

/** A set of networks. An IPv4 client of a dual-stack listener (`::ffff:10.0.0.1`) belongs to IPv4 networks only. */
export interface Networks {
  /** False for anything that is not an address. */
  contains(address: string): boolean;
}

/** Takes CIDR blocks and single addresses; throws for anything else, naming it. */
export function networks(cidrs: readonly string[]): Networks {
  // One list per family: BlockList by itself would find every IPv4 address in `::/0`.
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const cidr of cidrs) {
    const { address, family, prefix } = parseCidr(cidr);
    lists[family].addSubnet(address, prefix, family);
  }
  return {
    contains(text) {
      const address = parseAddress(text);
      if (address === undefined) return false;
      const family = familyOf(address);
      return lists[family].check(address, family);
    },
  };
}

/** Every address has one text: IPv6 as RFC 5952 writes it, without zone; IPv4 in IPv6 as IPv4. Undefined for what is none. */
export function parseAddress(text: string): string | undefined {
  const version = isIP(text);
  if (version === 4) return text;
  if (version === 0) return undefined;
  const { address } = new SocketAddress({ address: text.replace(/%.*$/s, ""), family: "ipv6" });
  return unmapped(address);
}

type Family = "ipv4" | "ipv6";

const familyOf = (address: string): Family => (address.includes(":") ? "ipv6" : "ipv4");

const unmapped = (address: string): string => address.replace(/^::ffff:(?=[\d.]+$)/, "");

const bits = { ipv4: 32, ipv6: 128 } as const;

/** Bits of `::ffff:0:0/96`, the IPv4 addresses in IPv6. */
const mappedBits = 96;

function parseCidr(cidr: string): { address: string; family: Family; prefix: number } {
  const [text = "", length, ...rest] = cidr.split("/");
  const address = text.includes("%") ? undefined : parseAddress(text);
  if (address === undefined || rest.length > 0) throw invalid(cidr);
  const family = familyOf(address);
  const mapped = family === "ipv4" && text.includes(":") ? mappedBits : 0;
  if (length === undefined) return { address, family, prefix: bits[family] };
  const prefix = /^\d{1,3}$/.test(length) ? Number(length) - mapped : -1;
  if (prefix < 0 || prefix > bits[family]) throw invalid(cidr);
  return { address, family, prefix };
}

const invalid = (cidr: string): Error => new Error(`"${cidr}" is not a network: 10.0.0.0/8, 2001:db8::/32, 10.1.2.3`);
