import type { BlobStore, PurgeOrder } from "@pullring/core";
import { openS3, type Exclusively, type S3 } from "@pullring/storage";

import { systemRandom } from "./clock.ts";
import type { Parts } from "./parts.ts";
import { purgeOrderOf } from "./purge-key.ts";

export interface SharedOptions {
  /** Where verified blobs are read for their upload. */
  readonly local: Pick<BlobStore, "open" | "stat">;
  /** Runs house-keeping on one node of the cluster; absent = this one is alone. */
  readonly exclusively?: Exclusively | undefined;
  /** A purge that another node left word of. */
  readonly onPurge: (order: PurgeOrder) => void;
}

/** The S3 tier, if one is configured. It is asked nothing before it is needed: a start never waits for it. */
export async function openShared(
  parts: Parts,
  { local, exclusively, onPurge }: SharedOptions,
): Promise<S3 | undefined> {
  const { config, clock, log, metrics } = parts;
  const { s3 } = config.storage;
  if (!s3) return undefined;
  const { credentials, ...place } = s3;
  return await openS3({
    ...place,
    ...(credentials && {
      credentials: {
        accessKeyId: credentials.accessKeyId,
        secretAccessKey: () => credentials.secretAccessKey.read(),
      },
    }),
    ...(exclusively && { exclusively }),
    local,
    clock,
    log,
    random: systemRandom,
    onTombstone({ key, atMs }) {
      const order = purgeOrderOf(key, atMs);
      if (order) onPurge(order);
    },
    observe: (event) => metrics.shared(event),
  });
}
