/**
 * How to ask a registry: tokens, redirects, lanes, retries and pauses, behind core's ports. README.md has the flow of a request.
 */
export type {
  AccountConfig,
  Log,
  QuotaConfig,
  RequestKind,
  UpstreamConfig,
  UpstreamEvent,
  UpstreamsOptions,
} from "./config.ts";
export { makeUpstreams, type Upstreams } from "./sources.ts";
export type { OnWire, WireAsk, WireEnd } from "./wire-tap.ts";
export { defaultEgress, type Egress } from "./egress.ts";
