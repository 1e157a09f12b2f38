import type { Span } from "@pullring/oci";

export const contentRange = ({ start, end }: Span, size: number): string => `bytes ${start}-${end - 1}/${size}`;

export interface Multipart {
  readonly contentType: string;
  readonly length: number;
  /** What is sent, in order: heads as bytes, and spans of the body. */
  readonly parts: readonly (Span | Buffer)[];
}

/** A multipart/byteranges body (RFC 9110 §14.6), its parts in the order they were asked for: podman reads the first before the others. */
export function multipartOf(
  spans: readonly Span[],
  about: { readonly size: number; readonly mediaType: string; readonly boundary: string },
): Multipart {
  const { size, mediaType, boundary } = about;
  const parts: (Span | Buffer)[] = [];
  for (const span of spans) {
    const head = `\r\n--${boundary}\r\nContent-Type: ${mediaType}\r\nContent-Range: ${contentRange(span, size)}\r\n\r\n`;
    parts.push(Buffer.from(head), span);
  }
  parts.push(Buffer.from(`\r\n--${boundary}--\r\n`));
  const length = parts.reduce((sum, part) => sum + (Buffer.isBuffer(part) ? part.length : part.end - part.start), 0);
  return { contentType: `multipart/byteranges; boundary=${boundary}`, length, parts };
}
