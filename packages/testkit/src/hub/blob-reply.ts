import { createHash } from "node:crypto";
import { type Bytes, concatBytes, sliceOf, textBytes } from "./bytes.ts";
import type { HubKnobs } from "./knobs.ts";
import { type ByteRange, rangesOf } from "./range.ts";
import type { Exchange, Reply } from "./reply.ts";

const contentType = "application/octet-stream";

function multipart(bytes: Bytes, ranges: readonly ByteRange[]): Reply {
  const boundary = "hub-simulator-boundary";
  const parts = ranges.flatMap(({ start, end }) => [
    textBytes(
      `\r\n--${boundary}\r\nContent-Type: ${contentType}\r\nContent-Range: bytes ${start}-${end}/${bytes.size}\r\n\r\n`,
    ),
    sliceOf(bytes, start, end - start + 1),
  ]);
  const body = concatBytes([...parts, textBytes(`\r\n--${boundary}--\r\n`)]);
  return { status: 206, headers: { "content-type": `multipart/byteranges; boundary=${boundary}` }, body };
}

function partial(bytes: Bytes, ranges: readonly ByteRange[], knobs: HubKnobs): Reply {
  const [range] = ranges;
  if (range === undefined) return { status: 416, headers: { "content-range": `bytes */${bytes.size}` } };
  if (ranges.length === 1) {
    const { start, end } = range;
    const headers = { "content-type": contentType, "content-range": `bytes ${start}-${end}/${bytes.size}` };
    return { status: 206, headers, body: sliceOf(bytes, start, end - start + 1) };
  }
  if (knobs.cdnMultiRange === "multipart") return multipart(bytes, ranges);
  return knobs.cdnMultiRange === 400
    ? { status: 400, headers: { "content-type": "text/plain" }, body: textBytes("one range at a time\n") }
    : whole(bytes);
}

const whole = (bytes: Bytes): Reply => ({ status: 200, headers: { "content-type": contentType }, body: bytes });

/** A CDN's ETag says nothing about the digest: it is MD5-like, or that of a multipart upload. */
function etagOf(digest: string, size: number, kind: HubKnobs["cdnEtag"]): Record<string, string> {
  if (kind === "absent") return {};
  if (kind === "sha256") return { etag: `"${digest}"` };
  const md5 = createHash("md5").update(digest).digest("hex");
  const parts = Math.ceil(size / (64 * 1024 * 1024));
  return { etag: parts > 1 ? `"${md5}-${parts}"` : `"${md5}"` };
}

/** The bytes of a blob, whole or in part, with the headers that a CDN puts on them. */
export function blobReply(exchange: Exchange, options: { digest: string; bytes: Bytes; knobs: HubKnobs }): Reply {
  const { digest, bytes, knobs } = options;
  const header = exchange.request.method === "GET" ? exchange.request.headers.range : undefined;
  const isRanged = knobs.cdnRanges && exchange.fault.ignoreRange !== true;
  const ranges = isRanged ? rangesOf(header, bytes.size) : undefined;
  const reply = ranges === undefined ? whole(bytes) : partial(bytes, ranges, knobs);
  return {
    ...reply,
    headers: {
      ...(knobs.cdnRanges ? { "accept-ranges": "bytes" } : {}),
      "cache-control": "public, max-age=14400",
      "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT",
      vary: "Accept-Encoding",
      ...etagOf(digest, bytes.size, knobs.cdnEtag),
      ...reply.headers,
    },
    ...(knobs.blobContentLength ? {} : { framing: "chunked" as const }),
  };
}
