import type { Body } from "./ports.ts";

/** A body that is in memory as a whole. */
export const bytesBody = (bytes: Uint8Array): Body => ({
  size: bytes.length,
  bytes,
  next: (offset, end) => ({ bytes: bytes.subarray(offset, end) }),
  close: () => {},
});
