import type { Fault, Hub, RequestKind } from "@pullring/testkit";

import type { Random } from "../real/random.ts";

const kinds: readonly RequestKind[] = [
  "manifest_get",
  "manifest_head",
  "blob_get",
  "cdn_get",
  "cdn_get",
  "cdn_range",
  "token",
];

/** What registries and the lines to them do wrong, one at a time. */
const makers: readonly ((random: Random) => Fault)[] = [
  () => ({ status: 500 }),
  () => ({ status: 503 }),
  () => ({ status: 429, headers: { "retry-after": "1" } }),
  (random) => ({ cutAfterBytes: random.below(2_000_000), cutBy: random.pick(["fin", "rst"]) }),
  (random) => ({ cutAfterBytes: random.below(2_000_000), framing: random.pick(["chunked", "close"]) }),
  (random) => ({ stallAfterBytes: random.below(2_000_000) }),
  (random) => ({ corruptAt: random.below(5000) }),
  (random) => ({ contentLengthDelta: random.pick([-10, 10]) }),
  () => ({ gzip: true }),
  () => ({ redirectLoop: true }),
  (random) => ({ close: random.pick(["fin", "rst"]) }),
  () => ({ ignoreRange: true }),
  () => ({ dripBytesPerSec: 5000 }),
  () => ({ hang: true }),
];

/** Lets something go wrong with one of the next requests. */
export function addFault(hub: Hub, random: Random): void {
  hub.faults.add({ kind: random.pick(kinds) }, random.pick(makers)(random));
}
