import { read } from "node:fs";
import { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { promisify } from "node:util";

import type { Body } from "@pullring/core";

import { limits } from "./limits.ts";

const readFile = promisify(read);

/** Bytes [start, end) of a body at rest, in steps, so that a part costs a step of memory. */
export function streamOf(body: Body, start: number, end: number, onStep: () => void): Readable {
  return Readable.from(steps(body, start, end, onStep), { objectMode: false, highWaterMark: limits.sendStepBytes });
}

async function* steps(body: Body, start: number, end: number, onStep: () => void): AsyncIterable<Uint8Array> {
  for (let offset = start; offset < end;) {
    const segment = await body.next(offset, Math.min(end, offset + limits.sendStepBytes));
    const bytes = "bytes" in segment ? segment.bytes : await fromFile(segment);
    if (bytes.length === 0) throw new Error(`the file ended at ${offset}, not at ${end}`);
    onStep();
    yield bytes;
    offset += bytes.length;
  }
}

async function fromFile(segment: { fd: number; position: number; length: number }): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafe(segment.length);
  const { bytesRead } = await readFile(segment.fd, buffer, 0, segment.length, segment.position);
  return buffer.subarray(0, bytesRead);
}

/** Ends the stream and waits for its last read: only then may the file be closed. */
export async function ended(stream: Readable): Promise<void> {
  stream.destroy();
  if (!stream.closed) await finished(stream, { cleanup: true }).catch(() => {});
}
