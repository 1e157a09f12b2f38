import { mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import type { TestContext } from "node:test";

import { openGrown, sampleDigest, virtualClock } from "@pullring/testkit";

import { openDisk } from "./disk.ts";
import { nodeFs, type Fs } from "./fs.ts";
import type { Hashing } from "./hashing.ts";

export const mib = 1024 * 1024;
export const errno = (code: string): Error => Object.assign(new Error(code), { code });
const quiet = { info: () => {}, warn: () => {} };

/** A disk of its own for one test, with some calls replaced. */
export async function bench(
  t: TestContext,
  options: { fs?: Partial<Fs>; sizeBytesMax?: number; hashing?: Hashing } = {},
) {
  const path = mkdtempSync(`${tmpdir()}/pullring-spool-`);
  const clock = virtualClock();
  const { sizeBytesMax = 1024 * mib, hashing } = options;
  const fs = { ...nodeFs, ...options.fs };
  const isPinned = (): boolean => false;
  const disk = await openDisk({ path, sizeBytesMax, log: quiet, clock, isPinned, fs, ...(hashing ? { hashing } : {}) });
  t.after(async () => {
    await disk.close();
    rmSync(path, { recursive: true });
  });
  const spoolFor = (bytes: Buffer) => openGrown((onGrow) => disk.spool(sampleDigest(bytes), { onGrow }));
  return { disk, path, clock, spoolFor };
}

/** Writes as the disk does until `bytes` are written, then refuses. */
export function refusingAfter(bytes: number, code: string): Partial<Fs> {
  let written = 0;
  return {
    async write(fd, chunks, position) {
      if (written >= bytes) throw errno(code);
      written += chunks.reduce((sum, { length }) => sum + length, 0);
      return nodeFs.write(fd, chunks, position);
    },
  };
}

/** Descriptors of this process that are open on spool files. */
export const openSpools = (path: string): string[] =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${path}/v1/spool/`);
    } catch {
      return false;
    }
  });
