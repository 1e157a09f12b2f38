import { readSync } from "node:fs";

import type { Body, Segment } from "@pullring/core";

/** The bytes of a segment, wherever they are. */
export function bytesOf(segment: Segment): Buffer {
  if ("bytes" in segment) return Buffer.from(segment.bytes);
  const bytes = Buffer.alloc(segment.length);
  let length = 0;
  while (length < bytes.length) {
    const read = readSync(segment.fd, bytes, length, bytes.length - length, segment.position + length);
    if (read === 0) throw new Error(`the file ends ${bytes.length - length} bytes before its segment`);
    length += read;
  }
  return bytes;
}

/** What a response would carry: all bytes of the body from `offset` to `end`. */
export async function readBody(body: Body, offset = 0, end: number = body.size): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let at = offset; at < end;) {
    const part = bytesOf(await body.next(at, end));
    if (part.length === 0 || part.length > end - at) throw new Error(`a segment of ${part.length} bytes at ${at}`);
    parts.push(part);
    at += part.length;
  }
  return Buffer.concat(parts);
}
