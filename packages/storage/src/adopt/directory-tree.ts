import { createReadStream } from "node:fs";
import { open, opendir, stat } from "node:fs/promises";
import { join } from "node:path";

import { errnoOf } from "../fs.ts";
import { textBytesMax, type Tree, type TreeFile } from "./tree.ts";

/** A folder. Symbolic links are not followed: a registry makes none. */
export function directoryTree(root: string): Tree {
  async function* list(folder: string): AsyncIterable<TreeFile> {
    const entries = await opendir(join(root, folder)).catch((error: unknown) => {
      if (errnoOf(error) === "ENOENT") return undefined;
      throw error;
    });
    if (!entries) return;
    for await (const entry of entries) {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) yield* list(path);
      else if (entry.isFile()) {
        const { size, mtimeMs } = await stat(join(root, path));
        yield { path, size, modifiedAt: mtimeMs };
      }
    }
  }

  return {
    list,
    async text(path) {
      await using file = await open(join(root, path));
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(textBytesMax), position: 0 });
      return buffer.toString("utf8", 0, bytesRead);
    },
    open: (path) => createReadStream(join(root, path), { highWaterMark: 1024 * 1024 }),
    local: (path) => join(root, path),
  };
}
