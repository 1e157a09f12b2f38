import type { Readable } from "node:stream";

import { GetObjectCommand, paginateListObjectsV2 } from "@aws-sdk/client-s3";

import { makeClient, type ClientOptions } from "../s3/client.ts";
import { textBytesMax, type Tree } from "./tree.ts";

export interface BucketPlace extends ClientOptions {
  readonly bucket: string;
  /** Before every key, without a slash at its end; "" = none. */
  readonly prefix: string;
}

export interface BucketTree extends Tree {
  close(): void;
}

/** A bucket. The caller closes it. */
export function bucketTree({ bucket, prefix, ...options }: BucketPlace): BucketTree {
  const client = makeClient(options);
  const under = prefix === "" ? "" : `${prefix}/`;

  async function read(path: string, range?: string): Promise<Readable> {
    const command = new GetObjectCommand({ Bucket: bucket, Key: `${under}${path}`, ...(range && { Range: range }) });
    const { Body } = await client.s3.send(command);
    if (!Body) throw new Error(`${path}: no body`);
    return Body as Readable;
  }

  return {
    async *list(folder) {
      const pages = paginateListObjectsV2({ client: client.s3 }, { Bucket: bucket, Prefix: `${under}${folder}/` });
      for await (const { Contents = [] } of pages)
        for (const { Key = "", Size = 0, LastModified } of Contents)
          yield { path: Key.slice(under.length), size: Size, modifiedAt: LastModified?.getTime() ?? 0 };
    },
    async text(path) {
      const chunks: Buffer[] = [];
      for await (const chunk of await read(path, `bytes=0-${textBytesMax - 1}`)) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks).toString();
    },
    async *open(path) {
      for await (const chunk of await read(path)) yield chunk as Buffer;
    },
    local: () => undefined,
    close: () => client.close(),
  };
}
