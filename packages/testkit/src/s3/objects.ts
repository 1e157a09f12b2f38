import { createHash, randomUUID } from "node:crypto";

export interface S3Object {
  readonly bytes: Buffer;
  readonly metadata: Readonly<Record<string, string>>;
  readonly modifiedAt: number;
}

export interface S3Upload {
  readonly key: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly startedAt: number;
  readonly parts: Map<number, { readonly bytes: Buffer; readonly modifiedAt: number }>;
}

/** What the double holds; tests read and change it. */
export interface S3Contents {
  readonly objects: Map<string, S3Object>;
  readonly uploads: Map<string, S3Upload>;
}

export const etagOf = (bytes: Buffer): string => `"${createHash("md5").update(bytes).digest("hex")}"`;

export function beginUpload(contents: S3Contents, upload: Omit<S3Upload, "parts">): string {
  const id = randomUUID();
  contents.uploads.set(id, { ...upload, parts: new Map() });
  return id;
}

/** A body without the framing that SDKs put around a stream whose checksum comes last (`aws-chunked`). */
export function withoutFraming(bytes: Buffer): Buffer {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const lineEnd = bytes.indexOf("\r\n", at);
    const length = Number.parseInt(bytes.toString("latin1", at, lineEnd), 16);
    if (!(length > 0)) break;
    chunks.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + length));
    at = lineEnd + 2 + length + 2;
  }
  return Buffer.concat(chunks);
}
