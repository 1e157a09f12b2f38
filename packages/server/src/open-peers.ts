import {
  makePeerClient,
  makePeerHandler,
  openPeerListener,
  type Membership,
  type MembershipOptions,
  type PeerClient,
  type PeerHandlerOptions,
  type PeerListener,
  type PeerTrust,
} from "@pullring/cluster";
import type { PeerService } from "@pullring/core";

import { networks } from "./clients/networks.ts";
import type { Config } from "./config/index.ts";
import type { ByteMover } from "./http/byte-mover.ts";
import { cutConnection } from "./http/cut.ts";
import type { Parts } from "./parts.ts";
import { pemSource } from "./pem-source.ts";
import { replacing } from "./replacing-secret.ts";

/** Both ends of the peer wire at this node. */
export interface Peers {
  readonly client: PeerClient;
  /** Rejects when it can't listen. */
  listen(service: PeerService, views: PeerViews): Promise<void>;
  /** Takes no new connections; resolves when what peers asked for has ended. */
  drained(): Promise<void>;
  /** No peer is answered any more. */
  close(): Promise<void>;
}

/** What peers' admin APIs are told of this node. */
export type PeerViews = Pick<PeerHandlerOptions, "fills" | "quota" | "view">;

type PeerConfig = NonNullable<Config["cluster"]>["peer"];

export interface PeersOptions {
  readonly config: PeerConfig;
  readonly self: MembershipOptions["self"];
  /** Not there yet while the cluster is joined. */
  readonly membership: () => Membership | undefined;
  readonly mover: ByteMover;
}

export function openPeers(parts: Parts, { config, self, membership, mover }: PeersOptions): Peers {
  const { clock, log, metrics, trails } = parts;
  const trust = openTrust(parts, config);
  const allowed = config.allow && networks(config.allow);
  const admits = allowed && ((address: string): boolean => allowed.contains(address));
  const common = {
    trust,
    clock,
    epoch: () => membership()?.ring().epoch ?? "",
    onEpoch: (_: string, epoch: string) => membership()?.sawEpoch(epoch),
  };
  const client = makePeerClient({
    ...common,
    admits,
    self: self.id,
    urlOf: (node) => membership()?.urlOf(node),
    report: (node, health) => membership()?.report(node, health),
    observe: ({ peer, outcome }) => metrics.peerRequest({ peer, outcome }),
    onAsk: trails.onAsk,
  });
  let listener: PeerListener | undefined;

  return {
    client,
    async listen(service, views) {
      const handler = makePeerHandler({
        ...common,
        ...views,
        service,
        self,
        incarnation: self.incarnation,
        hostOf: (node) => hostOf(membership()?.urlOf(node)),
        sender: {
          send: (response, body, start, end) => mover.move(response, body, { start, end }),
          cut: cutConnection,
        },
        around: trails.aroundPeer,
        onFault: (error) => log.error({ err: error }, "a peer could not be answered"),
      });
      listener = await openPeerListener({ listen: config.listen, trust, handler, ...(admits && { admits }) });
    },
    drained: async () => listener?.drain(),
    close: async () => listener?.close(),
  };
}

function openTrust(parts: Parts, { secret, tls }: PeerConfig): PeerTrust {
  const pem = (path: string): (() => string) => pemSource(parts, path);
  return {
    ...(secret && { secrets: replacing(() => secret.read(), parts.clock) }),
    ...(tls && { tls: { ca: pem(tls.caFile), cert: pem(tls.certFile), key: pem(tls.keyFile) } }),
  };
}

/** Whether a member may be dialled, as far as its address tells; names are looked at where they are resolved. */
export function mayDial({ allow }: PeerConfig): (url: string) => boolean {
  const allowed = allow && networks(allow);
  return (url) => {
    const host = hostOf(url) ?? "";
    return !allowed || !/^[\d.]+$|:/.test(host) || allowed.contains(host);
  };
}

const hostOf = (url: string | undefined): string | undefined =>
  url === undefined ? undefined : new URL(url).hostname.replace(/^\[(.*)\]$/, "$1");
