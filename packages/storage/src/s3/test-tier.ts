import { after } from "node:test";

import type { BlobRequest, BlobStore, Clock, BlobHead } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import type { S3Event } from "./observe.ts";
import { openS3, type S3, type S3Options } from "./s3.ts";

export interface TestTier {
  readonly tier: S3;
  readonly events: readonly S3Event[];
  readonly logged: readonly string[];
  outcomes(kind: S3Event["kind"]): string[];
}

export interface TestTierOptions extends Partial<S3Options> {
  readonly endpoint: string;
  readonly local: Pick<BlobStore, "open" | "stat">;
  readonly clock: Clock;
}

/** A tier for the tests of this folder, closed at the end of the test. */
export async function openTier(options: TestTierOptions): Promise<TestTier> {
  const events: S3Event[] = [];
  const logged: string[] = [];
  const note = (facts: object, message: string): void => void logged.push(`${message} ${JSON.stringify(facts)}`);
  const tier = await openS3({
    bucket: "bucket",
    prefix: "test",
    forcePathStyle: true,
    expireMs: 0,
    random: () => 0.5,
    credentials: { accessKeyId: "key", secretAccessKey: () => "secret" },
    log: { info: note, warn: note },
    observe: (event) => void events.push(event),
    ...options,
  });
  after(() => tier.close());
  const outcomes = (kind: S3Event["kind"]): string[] =>
    events.filter((event) => event.kind === kind).map(({ outcome }) => outcome);
  return { tier, events, logged, outcomes };
}

export const repository = { upstream: "docker.io", name: "library/alpine" };

/** What a read brings, or its error. */
export async function readFrom(
  { tier }: TestTier,
  digest: Digest,
  request: Partial<BlobRequest> = {},
): Promise<{ bytes: Buffer; head: BlobHead | undefined }> {
  const chunks: Buffer[] = [];
  let head: BlobHead | undefined;
  await tier.blobs.get(
    { repository, digest, offset: 0, ...request },
    { head: (told) => void (head = told), write: (chunk) => void chunks.push(Buffer.from(chunk)) },
  );
  return { bytes: Buffer.concat(chunks), head };
}
