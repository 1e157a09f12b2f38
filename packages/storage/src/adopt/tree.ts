/** One file of somebody else's storage. */
export interface TreeFile {
  /** Below the tree's root, with slashes: `blobs/sha256/ab/ab…/data`. */
  readonly path: string;
  readonly size: number;
  /** Wall ms. */
  readonly modifiedAt: number;
}

/** Files that another program wrote, in a folder or a bucket; only read. Rejects as the file system or S3 does. */
export interface Tree {
  /** Every file below a folder, in any order. Nothing when there is no such folder. */
  list(folder: string): AsyncIterable<TreeFile>;
  /** The whole of a small file, as text; at most 4 KiB of it. */
  text(path: string): Promise<string>;
  open(path: string): AsyncIterable<Uint8Array>;
  /** Where a file is on this machine's own file system; undefined = elsewhere. */
  local(path: string): string | undefined;
}

/** What a link file holds is a digest; nothing longer is one. */
export const textBytesMax = 4096;
