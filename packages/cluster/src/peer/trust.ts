import { BlockList, isIP, type Socket } from "node:net";
import { checkServerIdentity, TLSSocket, type PeerCertificate } from "node:tls";

/** PEM texts; each is asked for again where a connection is made, so files may change. One certificate serves both directions. */
export interface PeerTls {
  readonly ca: () => string;
  readonly cert: () => string;
  readonly key: () => string;
}

/** By what peers know each other. With neither, a node speaks to its own host only. */
export interface PeerTrust {
  /** The current secret first; the others are accepted too, for as long as some peers still use them. An empty list trusts nobody. */
  readonly secrets?: () => readonly string[];
  readonly tls?: PeerTls;
}

/** Throws where strangers could speak the peer wire. */
export function requireTrust(listenHost: string, { secrets, tls }: PeerTrust): void {
  if (secrets || tls || isLoopback(listenHost)) return;
  throw new Error(`a peer listener on ${listenHost} needs a secret or TLS: off loopback anybody could ask it`);
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

function isLoopback(host: string): boolean {
  const address = host.replace(/^\[(.*)\]$/, "$1");
  const version = isIP(address);
  return version === 0 ? address === "localhost" : loopback.check(address, version === 4 ? "ipv4" : "ipv6");
}

/** Whether the certificate was made for one of these names: as SAN, or as common name. */
export function isNamed(certificate: PeerCertificate, names: readonly string[]): boolean {
  // What came without a certificate has no subject.
  const subject = (certificate as Partial<PeerCertificate>).subject;
  if (!subject) return false;
  return names.some((name) => subject.CN === name || checkServerIdentity(name, certificate) === undefined);
}

/** The certificate that a socket has shown, read once: it takes longer than a small answer. */
export function makeCertificates(): (socket: Socket) => PeerCertificate | undefined {
  const known = new WeakMap<Socket, PeerCertificate>();
  return (socket) => {
    if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
    const certificate = known.get(socket) ?? socket.getPeerCertificate();
    known.set(socket, certificate);
    return certificate;
  };
}
