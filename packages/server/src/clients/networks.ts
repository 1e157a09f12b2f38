import { BlockList, isIP, SocketAddress } from "node:net";

import type { Network } from "../config/config.ts";

/** A set of networks. An IPv4 client of a dual-stack listener (`::ffff:10.0.0.1`) belongs to IPv4 networks only. */
export interface Networks {
  /** False for anything that is not an address. */
  contains(address: string): boolean;
}

export function networks(blocks: readonly Network[]): Networks {
  // One list per family: BlockList by itself would find every IPv4 address in `::/0`.
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() };
  for (const block of blocks) {
    const { address, family, prefixBits } = unmappedBlock(block);
    lists[family].addSubnet(address, prefixBits, family);
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

const familyOf = (address: string): Network["family"] => (address.includes(":") ? "ipv6" : "ipv4");

const unmapped = (address: string): string => address.replace(/^::ffff:(?=[\d.]+$)/, "");

/** Bits of `::ffff:0:0/96`, the IPv4 addresses in IPv6. */
const mappedBits = 96;

function unmappedBlock(block: Network): Network {
  const address = parseAddress(block.address) ?? block.address;
  if (familyOf(address) === block.family || block.prefixBits < mappedBits) return block;
  return { address, family: "ipv4", prefixBits: block.prefixBits - mappedBits };
}
