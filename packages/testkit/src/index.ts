export { type Hub, type HubOptions, startHub } from "./hub/hub.ts";
export type { Fault, FaultMatch, FaultRule } from "./hub/faults.ts";
export type { HubAccount, HubKnobs } from "./hub/knobs.ts";
export type { HubOrigin, LedgerEntry, LedgerMatch, RequestKind } from "./hub/ledger.ts";
export type { Descriptor } from "./hub/content.ts";
export { type ImageDescriptor, type IndexDescriptor, mediaTypes } from "./hub/images.ts";
export { digestOf, eventually } from "./assert.ts";
export { type FaultProxy, type FaultProxyOptions, startFaultProxy, type Toxics } from "./fault-proxy.ts";
export { type VirtualClock, virtualClock } from "./virtual-clock.ts";
