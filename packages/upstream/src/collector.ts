import type { BodySink } from "./intake.ts";

export interface Collector extends BodySink {
  bytes(): Buffer;
}

/** Keeps a body of up to `bytesMax` in memory. `onExceed` may throw, which ends the transfer; else what is above is dropped. */
export function makeCollector(bytesMax: number, onExceed: () => void): Collector {
  const chunks: Uint8Array[] = [];
  let length = 0;
  return {
    write(chunk) {
      length += chunk.length;
      if (length > bytesMax) return onExceed();
      chunks.push(chunk);
    },
    bytes: () => Buffer.concat(chunks),
  };
}
