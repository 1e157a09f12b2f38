import { makeAbuseGuard } from "./abuse.ts";
import { makeCdnOrigin } from "./cdn-origin.ts";
import { makeContentStore } from "./content.ts";
import { makeFaults } from "./faults.ts";
import { makeImages } from "./images.ts";
import { type HubKnobs, hubKnobs } from "./knobs.ts";
import { type HubOrigin, makeLedger } from "./ledger.ts";
import { type Answers, type Origin, startOrigin } from "./origin.ts";
import { makePace } from "./pace.ts";
import { makeQuota } from "./quota.ts";
import { makeRegistryOrigin } from "./registry-origin.ts";
import type { HubState } from "./state.ts";
import { makeTokenOrigin } from "./token-origin.ts";

export interface HubOptions extends Partial<HubKnobs> {
  /** Everything drawn comes from it; default 1. */
  readonly seed?: number;
  /** Loopback address to listen on; default 127.0.0.1. */
  readonly host?: string;
  /** The host in the hub's addresses when it is not `host`, such as the name in a certificate. */
  readonly publicHost?: string;
  /** Ports that are not named are chosen by the kernel. */
  readonly ports?: { readonly registry?: number; readonly token?: number; readonly cdns?: readonly [number, number] };
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer };
}

export type Hub = Awaited<ReturnType<typeof startHub>>;

/** A stand-in for Docker Hub on loopback: a token origin, a registry and two CDNs, each on its own port. */
export async function startHub(options: HubOptions = {}) {
  const { seed = 1, host = "127.0.0.1", publicHost = host, ports = {}, tls, ...initialKnobs } = options;
  const knobs: HubKnobs = { ...hubKnobs(), ...initialKnobs };
  let skewMs = 0;
  const now = (): number => Date.now() + skewMs;
  const store = makeContentStore(seed);
  const [ledger, faults, quota] = [makeLedger(), makeFaults(), makeQuota(knobs, now)];
  const origins: HubState["origins"] = { registry: "", token: "", cdns: ["", ""] };
  const state: HubState = { knobs, content: store, quota, secret: `hub-${seed}`, now, origins };
  const line = makePace(() => knobs.bandwidthBytesPerSec);
  const started: Origin[] = [];

  async function start(name: HubOrigin, port: number, answers: Answers): Promise<string> {
    const origin = await startOrigin({ name, host, port, tls, answers, knobs, faults, ledger, line, now });
    started.push(origin);
    const authority = publicHost.includes(":") ? `[${publicHost}]` : publicHost;
    return `${tls === undefined ? "http" : "https"}://${authority}:${origin.port}`;
  }

  const refuseAbuse = makeAbuseGuard(state);
  const registry = makeRegistryOrigin(state);
  origins.token = await start("token", ports.token ?? 0, { refuse: refuseAbuse, answer: makeTokenOrigin(state) });
  origins.cdns[0] = await start("cdn0", ports.cdns?.[0] ?? 0, makeCdnOrigin(state, 0));
  origins.cdns[1] = await start("cdn1", ports.cdns?.[1] ?? 0, makeCdnOrigin(state, 1));
  origins.registry = await start("registry", ports.registry ?? 0, {
    refuse: (exchange) => refuseAbuse(exchange) ?? registry.refuse(exchange),
    answer: registry.answer,
  });

  return {
    /** Base address of the registry. */
    url: origins.registry,
    tokenOrigin: origins.token,
    cdnOrigins: origins.cdns as readonly [string, string],
    content: { ...store, ...makeImages(store) },
    /** Take effect with the next request. */
    knobs,
    faults,
    ledger,
    quota,
    /** Moves the hub's own time, by which tokens, signed addresses and quota windows expire. */
    advance(ms: number): void {
      skewMs += ms;
    },
    async close(): Promise<void> {
      await Promise.all(started.map((origin) => origin.close()));
    },
  };
}
