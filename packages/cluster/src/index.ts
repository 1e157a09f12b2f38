export { makeRedisLeases, type LeaseOutcome, type RedisLeasesOptions } from "./lease/redis-leases.ts";
export { makePeerClient, type PeerClient, type PeerClientOptions } from "./peer/client.ts";
export type { PeerAsked } from "./peer/caller.ts";
export type { PeerHello } from "./peer/facts.ts";
export { makePeerHandler, type PeerHandlerOptions, type PeerSender, type PeerServed } from "./peer/handler.ts";
export { openPeerListener, type PeerListener } from "./peer/listener.ts";
export type { PeerTls, PeerTrust } from "./peer/trust.ts";
export { openRedis, type Redis, type RedisOptions } from "./redis/index.ts";
