/**
 * Version 2 of the PROXY protocol (haproxy/doc/proxy-protocol.txt §2.2), receiving side. Ours because the package for it parses a
 * complete buffer only, takes the request after the header for TLVs, and reads addresses past the declared length.
 */
import type { Socket } from "node:net";

const signature = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const fixedBytes = 16;

/** Addresses and TLVs together; senders known to us stay below 1 KiB. */
const headerBytesMax = 4096;

export type ProxyHeader =
  /** No header: the bytes are the client's. */
  | { readonly kind: "none" }
  /** The bytes are the beginning of a header. */
  | { readonly kind: "partial" }
  /** A header that must not be answered: the connection ends. */
  | { readonly kind: "invalid" }
  /** A whole header of `length` bytes. No `address`: the sender speaks for itself (LOCAL), or does not tell for whom. */
  | { readonly kind: "header"; readonly length: number; readonly address: string | undefined };

/** Reads what a connection begins with. */
export function parseProxyHeader(bytes: Buffer): ProxyHeader {
  const known = Math.min(bytes.length, signature.length);
  if (bytes.compare(signature, 0, known, 0, known) !== 0) return { kind: "none" };
  if (bytes.length < fixedBytes) return { kind: "partial" };
  const versionAndCommand = bytes.readUInt8(12);
  const length = fixedBytes + bytes.readUInt16BE(14);
  if (versionAndCommand >> 4 !== 2 || (versionAndCommand & 0xf) > proxyCommand || length > headerBytesMax)
    return { kind: "invalid" };
  if (bytes.length < length) return { kind: "partial" };
  if ((versionAndCommand & 0xf) !== proxyCommand) return { kind: "header", length, address: undefined };
  const size = addressBytes[bytes.readUInt8(13) >> 4];
  if (size === undefined) return { kind: "header", length, address: undefined };
  // Source and destination, then two ports; what follows are TLVs.
  if (length < fixedBytes + 2 * size + 4) return { kind: "invalid" };
  return { kind: "header", length, address: textOf(bytes.subarray(fixedBytes, fixedBytes + size)) };
}

const proxyCommand = 1;

/** By address family: AF_INET, AF_INET6. Others (unspecified, unix) carry no address for us. */
const addressBytes: Readonly<Record<number, number>> = { 1: 4, 2: 16 };

function textOf(address: Buffer): string {
  if (address.length === 4) return address.join(".");
  const groups = Array.from({ length: 8 }, (_, index) => address.readUInt16BE(index * 2).toString(16));
  return groups.join(":");
}

/**
 * Takes the header off a new connection, then calls back with the address it tells; all bytes that follow it are in the socket
 * again. Bytes that are no header stay as they are. A connection with a bad header, or an unfinished one, is destroyed.
 */
export function takeProxyHeader(socket: Socket, timeoutMs: number, onReady: (address?: string) => void): void {
  let bytes = Buffer.alloc(0);
  const abandon = (): void => void socket.destroy();
  const timeout = setTimeout(abandon, timeoutMs);
  const leave = (): void => {
    clearTimeout(timeout);
    socket.off("readable", read).off("end", abandon).off("error", abandon).off("close", leave);
  };
  function read(): void {
    const chunk = socket.read() as Buffer | null;
    if (!chunk) return;
    bytes = Buffer.concat([bytes, chunk]);
    const found = parseProxyHeader(bytes);
    if (found.kind === "partial") return;
    leave();
    if (found.kind === "invalid") return abandon();
    const { address, length } = found.kind === "header" ? found : { address: undefined, length: 0 };
    if (bytes.length > length) socket.unshift(bytes.subarray(length));
    onReady(address);
  }
  socket.on("readable", read).on("end", abandon).on("error", abandon).on("close", leave);
}
