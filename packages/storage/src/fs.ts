import * as fs from "node:fs";
import { dirname } from "node:path";

const settle =
  <T>(resolve: (value: T) => void, reject: (error: Error) => void) =>
  (error: Error | null, value: T): void =>
    error ? reject(error) : resolve(value);

/**
 * The calls of node:fs that this package makes. Descriptors are plain numbers, because they are shared with hash threads and
 * with whoever sends the bytes; a test replaces single calls.
 */
export const nodeFs = {
  open: (path: string, flags: string): Promise<number> =>
    new Promise((resolve, reject) => fs.open(path, flags, 0o640, settle(resolve, reject))),
  close: (fd: number): Promise<void> =>
    new Promise((resolve, reject) => fs.close(fd, (error) => settle<void>(resolve, reject)(error ?? null, undefined))),
  fsync: (fd: number): Promise<void> =>
    new Promise((resolve, reject) => fs.fsync(fd, (error) => settle<void>(resolve, reject)(error, undefined))),
  fstat: (fd: number): Promise<fs.Stats> => new Promise((resolve, reject) => fs.fstat(fd, settle(resolve, reject))),
  stat: (path: string): Promise<fs.Stats> => new Promise((resolve, reject) => fs.lstat(path, settle(resolve, reject))),
  /** Resolves to the bytes read: may be short. */
  read: (fd: number, buffer: Uint8Array, position: number): Promise<number> =>
    new Promise((resolve, reject) => fs.read(fd, buffer, 0, buffer.length, position, settle(resolve, reject))),
  /** Resolves to the bytes written: may be short. */
  write: (fd: number, chunks: readonly Uint8Array[], position: number): Promise<number> =>
    new Promise((resolve, reject) => fs.writev(fd, chunks, position, settle(resolve, reject))),
  rename: (from: string, to: string): Promise<void> => fs.promises.rename(from, to),
  unlink: (path: string): Promise<void> => fs.promises.unlink(path),
  mkdir: makeFolder,
  readdir: (path: string): Promise<fs.Dirent[]> => fs.promises.readdir(path, { withFileTypes: true }),
  utimes: (path: string, seconds: number): Promise<void> => fs.promises.utimes(path, seconds, seconds),
  readFile: (path: string): Promise<string> => fs.promises.readFile(path, "utf8"),
  writeFile: (path: string, text: string): Promise<void> => fs.promises.writeFile(path, text, { mode: 0o640 }),
};

export type Fs = typeof nodeFs;

const folderMode = 0o750;

/** With its parents. Node says ENOENT where a read-only file system refuses: the first folder that can't be made by itself tells why. */
async function makeFolder(path: string): Promise<void> {
  try {
    await fs.promises.mkdir(path, { recursive: true, mode: folderMode });
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    await makeFolder(dirname(path));
    await fs.promises.mkdir(path, folderMode);
  }
}

export const errnoOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code;

/** This process, not the disk, is at its end: too many open files. */
export const isExhausted = (error: unknown): boolean => ["EMFILE", "ENFILE"].includes(errnoOf(error) ?? "");

/** The disk has no room: something must go. */
export const isFull = (error: unknown): boolean => ["ENOSPC", "EDQUOT"].includes(errnoOf(error) ?? "");
