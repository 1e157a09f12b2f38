export type { Algorithm, RingMember } from "./members.ts";
export { makeRing, previewRing, type Preview, type Ring, type RingOptions } from "./ring.ts";
