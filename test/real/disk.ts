import { createReadStream } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

import { digestOf } from "@pullring/testkit";

const algorithms = ["sha256", "sha512"] as const;

export interface KeptFile {
  readonly name: string;
  /** Of what is in it. */
  readonly digest: string;
}

const listing = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

/** Every file at a final path of a Pullring's disk, read through. */
export async function keptFiles(disk: string): Promise<readonly KeptFile[]> {
  const kept: KeptFile[] = [];
  for (const algorithm of algorithms) {
    const folder = join(disk, "v1", "blobs", algorithm);
    for (const name of await listing(folder)) {
      const digest = await digestOf(createReadStream(join(folder, name), { highWaterMark: 1024 * 1024 }), algorithm);
      kept.push({ name: `${algorithm}:${name}`, digest });
    }
  }
  return kept;
}

export const wrongFiles = (kept: readonly KeptFile[]): readonly KeptFile[] =>
  kept.filter(({ name, digest }) => name !== digest);

/** Bytes of fills that nobody has finished. */
export const spools = (disk: string): Promise<string[]> => listing(join(disk, "v1", "spool"));
