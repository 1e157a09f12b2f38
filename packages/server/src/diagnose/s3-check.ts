import type { Clock } from "@pullring/core";
import type { S3 } from "@pullring/storage";

import { fail, ok, warn, type Check } from "./finding.ts";
import { diagnoseLimits as limits } from "./limits.ts";

export interface S3CheckOptions {
  readonly bucket: string;
  /** The tier as a node opens it. */
  readonly open: () => Promise<S3>;
  readonly clock: Clock;
}

const advice =
  "look at storage.s3: bucket, region, endpoint, forcePathStyle (most services but AWS want true), and that the key may read, write, list and delete there";

/** Lets the trial run that every node makes before it trusts a bucket. */
export function s3Check({ bucket, open, clock }: S3CheckOptions): Check {
  return {
    name: "S3",
    async run() {
      const tier = await open();
      try {
        const first = tier.degraded();
        const untilMs = clock.monotonic() + limits.s3Ms;
        while (isPending(tier, first) && clock.monotonic() < untilMs) await clock.sleep(limits.pollMs);
        const capabilities = tier.capabilities();
        if (!capabilities) return fail(`${bucket}: ${tier.degraded() ?? "no answer"}`, advice);
        const { ranges, multipart } = capabilities;
        if (ranges && multipart) return ok(`${bucket}: what was written came back, and is removed`);
        const lacks = [...(ranges ? [] : ["ranges"]), ...(multipart ? [] : ["uploads in parts"])];
        return warn(`${bucket} works, without ${lacks.join(" and ")}`, "large blobs cost more time and memory with it");
      } finally {
        await tier.close();
      }
    },
  };
}

/** The first reason says that nothing is known yet; any other one is the outcome. */
const isPending = (tier: S3, first: string | undefined): boolean =>
  tier.capabilities() === undefined && tier.degraded() === first;
