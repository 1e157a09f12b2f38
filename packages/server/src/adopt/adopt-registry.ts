import { bucketTree, directoryTree, lockDisk, openAdoption, openRecords, readDistribution } from "@pullring/storage";
import type { Log, Tree } from "@pullring/storage";

import { systemClock } from "../clock.ts";
import { canonicalNames, loadConfig, processEnvironment } from "../config/index.ts";
import { StartError } from "../start-error.ts";
import { adoptBlobs, type AdoptedBlobs, type AdoptProgress } from "./adopt-blobs.ts";
import { adoptLinks, type AdoptedLinks } from "./adopt-links.ts";

export interface AdoptOptions {
  /** Of the node that takes the images over; undefined = the defaults and the environment. */
  readonly config: string | undefined;
  readonly from: AdoptedPlace;
  /** Any name of the upstream that the registry was a cache of. */
  readonly upstream: string;
  /** Hard links where there can be some, instead of copies. */
  readonly mayLink: boolean;
  /** Whether anybody may have the bytes: only if the registry had them without an account. */
  readonly isPublic: boolean;
  readonly onProgress: (progress: AdoptProgress) => void;
}

/** Credentials of a bucket come by the SDK's own sources: environment, files, web identity, instances. */
export type AdoptedPlace =
  | { readonly folder: string }
  | {
      readonly bucket: string;
      readonly prefix: string;
      readonly endpoint: string | undefined;
      readonly region: string | undefined;
      readonly forcePathStyle: boolean;
    };

export type AdoptSummary = AdoptedBlobs & AdoptedLinks;

const silent = (): void => {};
const quiet: Log = { info: silent, warn: silent };

/**
 * Takes over what a Distribution registry keeps: its blobs, verified, and for each repository its links and tags. Rejects with ConfigError, with
 * StartError when the disk is in use or the upstream unknown, or as the source does. What it did before stays; run again, it goes on.
 */
export async function adoptRegistry(options: AdoptOptions): Promise<AdoptSummary> {
  const config = await loadConfig({ file: options.config, env: processEnvironment(), onSecretError: silent });
  const upstream = canonicalNames(config.upstreams).get(options.upstream);
  if (upstream === undefined) throw new StartError(`no upstream is called ${options.upstream}`);
  const { path, sizeBytesMax } = config.storage.disk;
  const lock = await lockDisk(path).catch((error: unknown) => {
    throw new StartError(`storage.disk.path: ${path} is in use: stop the node first`, { cause: error });
  });
  const tree = await treeOf(options.from);
  try {
    const { mayLink, isPublic, onProgress } = options;
    const access = isPublic ? "public" : "linked";
    const adoption = await openAdoption({ path, sizeBytesMax, log: quiet });
    const records = await openRecords({ path, log: quiet });
    const source = readDistribution(tree);
    const blobs = await adoptBlobs({ tree, source, adoption, access, mayLink, onProgress });
    return { ...blobs, ...(await adoptLinks({ source, adoption, records, upstream, access })) };
  } finally {
    tree.close?.();
    await lock?.release();
  }
}

async function treeOf(from: AdoptedPlace): Promise<Tree & { close?(): void }> {
  return "folder" in from ? directoryTree(from.folder) : await bucketTree({ ...from, clock: systemClock });
}
