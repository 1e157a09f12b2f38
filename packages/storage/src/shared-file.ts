/** An open file with several holders: it is closed when the last one lets go, so that its number can't become another file's. */
export interface SharedFile {
  readonly fd: number;
  readonly closed: boolean;
  /** One holder more; false when the file is closed already. */
  hold(): boolean;
  /** One holder less: each calls it once. */
  release(): void;
}

/** The caller is the first holder. */
export function shareFile(fd: number, close: (fd: number) => Promise<void>): SharedFile {
  let holders = 1;
  return {
    fd,
    get closed() {
      return holders === 0;
    },
    hold() {
      if (holders === 0) return false;
      holders += 1;
      return true;
    },
    release() {
      if (holders === 0) throw new Error("the file was let go more often than it was held");
      holders -= 1;
      // What a close could tell was told by fsync; whom it could tell is gone.
      if (holders === 0) close(fd).catch(() => {});
    },
  };
}
