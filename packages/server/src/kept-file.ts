import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** One small JSON value that survives a restart. */
export interface KeptFile {
  /** undefined when nothing was saved. Rejects when the file can't be read. */
  load(): Promise<unknown>;
  save(value: unknown): Promise<void>;
}

/** Beside the blobs, in a file that is only ever whole. One save at a time. */
export function keptFile(diskPath: string, name: "ring" | "purges"): KeptFile {
  const path = join(diskPath, "v1", `${name}.json`);
  return {
    async load() {
      const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
      });
      return text === undefined ? undefined : (JSON.parse(text) as unknown);
    },
    async save(value) {
      await writeFile(`${path}.new`, JSON.stringify(value), { mode: 0o640 });
      await rename(`${path}.new`, path);
    },
  };
}
