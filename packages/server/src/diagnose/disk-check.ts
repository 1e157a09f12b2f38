import { randomUUID } from "node:crypto";
import { open, rm, statfs as statfsOf, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";

import { fail, ok, reasonOf, warn, type Check, type Finding } from "./finding.ts";
import { diagnoseLimits as limits } from "./limits.ts";

/** As `statfs` of node:fs tells it. */
interface Space {
  readonly bsize: number;
  readonly blocks: number;
  readonly bavail: number;
}

export interface DiskCheckOptions {
  readonly path: string;
  readonly sizeBytesMax: number;
  readonly statfs?: (path: string) => Promise<Space>;
}

const gib = (bytes: number): string => `${(bytes / 1024 ** 3).toFixed(1)} GiB`;

/** A file can be written and synced where the cache is, or will be, and there is room. Creates nothing that stays. */
export function diskCheck({ path, sizeBytesMax, statfs = statfsOf }: DiskCheckOptions): Check {
  return {
    name: "disk",
    async run() {
      const place = await existing(resolve(path));
      const refusal = await refusalToWrite(place);
      if (refusal !== undefined) {
        const user = process.getuid?.() ?? "?";
        return fail(
          `${place} can't be written (${refusal})`,
          `the cache then keeps small things in memory only: give it to the user that runs Pullring (this is uid ${user}): chown, or the volume's fsGroup`,
        );
      }
      const { bsize, blocks, bavail } = await statfs(place);
      const space = { free: bavail * bsize, whole: blocks * bsize };
      return roomFor(sizeBytesMax, { ...space, path, isNew: place !== resolve(path) });
    },
  };
}

interface Room {
  readonly free: number;
  readonly whole: number;
  readonly path: string;
  /** Nothing is cached yet. */
  readonly isNew: boolean;
}

function roomFor(size: number, { free, whole, path, isNew }: Room): Finding {
  const advice = `set storage.disk.size to less than there is, or put storage.disk.path on a larger disk`;
  const found = `${path}: ${gib(free)} free of ${gib(whole)}, storage.disk.size is ${gib(size)}`;
  if (free < limits.diskFreeBytesMin) return fail(found, `make room; ${advice}`);
  return size > whole || (isNew && size > free) ? warn(found, advice) : ok(found);
}

/** The folder itself, or the nearest one above it that is there. */
async function existing(path: string): Promise<string> {
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  return isThere || path === dirname(path) ? path : existing(dirname(path));
}

async function refusalToWrite(folder: string): Promise<string | undefined> {
  const file = join(folder, `.pullring-doctor-${randomUUID()}`);
  try {
    await using handle = await open(file, "wx");
    await handle.write("x");
    await handle.sync();
    return undefined;
  } catch (error) {
    return reasonOf(error);
  } finally {
    await rm(file, { force: true }).catch(() => {});
  }
}
