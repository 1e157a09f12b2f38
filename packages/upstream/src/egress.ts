/** A way out of this node: an address of its own, a proxy, or whatever the system takes. */
export interface Egress {
  readonly name: string;
  /** IPv4 or IPv6: what connections are bound to. */
  readonly localAddress?: string;
  /** `http:` (CONNECT, RFC 9110 §9.3.6) or `socks5:` (RFC 1928); may hold a login. It resolves names itself. */
  readonly proxy?: URL;
}

export const defaultEgress: Egress = { name: "default" };
