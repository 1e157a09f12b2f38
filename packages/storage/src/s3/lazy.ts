import type { BucketPlace, BucketTree } from "../adopt/bucket-tree.ts";
import type { S3, S3Options } from "./s3.ts";

// The SDK is an eighth of what a start costs, so it is loaded by those who have an S3.

/** The S3 tier. Asks it nothing. */
export const openS3 = async (options: S3Options): Promise<S3> => (await import("./s3.ts")).openS3(options);

/** A bucket to take over from. The caller closes it. */
export const bucketTree = async (place: BucketPlace): Promise<BucketTree> =>
  (await import("../adopt/bucket-tree.ts")).bucketTree(place);
