import { mkdir, stat } from "node:fs/promises";
import { createServer } from "node:net";

/** Held for as long as a process uses a disk. */
export interface DiskLock {
  release(): Promise<void>;
}

/**
 * Takes the disk for this process: another one's start would remove our spools, and each would evict by an index of its own. The
 * lock is a socket in Linux' abstract namespace, named by the folder itself (device and inode), so that the kernel frees it whatever
 * ends the process. Undefined where there is none to be had: another system, or a folder that can't be made. Rejects with
 * EADDRINUSE when another process has it.
 */
export async function lockDisk(path: string): Promise<DiskLock | undefined> {
  if (process.platform !== "linux") return undefined;
  const folder = await mkdir(path, { recursive: true }).then(
    () => stat(path),
    () => undefined,
  );
  if (!folder) return undefined;
  const server = createServer((socket) => socket.destroy()).unref();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(`\0pullring-disk-${folder.dev}-${folder.ino}`, resolve);
  });
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}
