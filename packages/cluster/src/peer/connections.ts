import { lookup } from "node:dns";
import { isIP, type LookupFunction, type OnReadOpts, type Socket } from "node:net";
import type { PeerCertificate } from "node:tls";

import type { Clock, NodeId } from "@pullring/core";
import { makePlainDispatcher } from "@pullring/plain-http";
import { buildConnector, Pool, type Dispatcher } from "undici";

import { peerLimits } from "../limits.ts";
import { PeerFault } from "./peer-fault.ts";
import { isNamed, type PeerTls } from "./trust.ts";

type Sender = Pick<Dispatcher, "dispatch"> & { destroy(): Promise<void> };

/** The connections to one peer, and what is known of its time. */
export interface PeerConnections {
  readonly url: URL;
  /** Small answers never wait behind blobs, and a question for a sign of life behind neither. */
  readonly small: Sender;
  readonly bulk: Sender;
  readonly hello: Sender;
  /** The receiver's start, and by how much its time is ahead of ours. */
  told: { readonly boot: string; readonly aheadMs: number } | undefined;
  /** The question for a sign of life that is out. */
  asking: Promise<boolean> | undefined;
}

export interface ConnectionsOptions {
  readonly clock: Clock;
  readonly tls?: PeerTls | undefined;
  /** Whether an address may be dialled: looked at as the socket will use it, because a name may resolve to anything. */
  readonly admits?: ((address: string) => boolean) | undefined;
}

export interface Connections {
  /** `node` is undefined where only the address is known. */
  to(node: NodeId | undefined, url: string): PeerConnections;
  /** Ends every exchange that runs. */
  close(): Promise<void>;
}

export function makeConnections(options: ConnectionsOptions): Connections {
  const peers = new Map<string, PeerConnections>();

  return {
    to(node, url) {
      const key = `${node ?? ""} ${url}`;
      const peer = peers.get(key) ?? openConnections(node, new URL(url), options);
      peers.delete(key);
      peers.set(key, peer);
      const oldest = peers.size > peerLimits.peersMax ? [...peers].at(0) : undefined;
      if (oldest) {
        peers.delete(oldest[0]);
        void destroy(oldest[1]);
      }
      return peer;
    },
    async close() {
      await Promise.all([...peers.values()].map(destroy));
    },
  };
}

async function destroy({ small, bulk, hello }: PeerConnections): Promise<void> {
  await Promise.all([small.destroy(), bulk.destroy(), hello.destroy()]);
}

function openConnections(node: NodeId | undefined, url: URL, options: ConnectionsOptions): PeerConnections {
  const connect = makeConnector(node, url, options);
  const pool = (connections: number): Pool =>
    new Pool(url.origin, {
      connect,
      connections,
      pipelining: 1,
      allowH2: false,
      // Every time limit is kept by the watch and the connector, on our own clock.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: peerLimits.headBytesMax,
      keepAliveTimeout: peerLimits.keepAliveMs,
    });
  const bulk =
    url.protocol === "https:"
      ? pool(peerLimits.bulkConnectionsMax)
      : makePlainDispatcher({
          connect: (onread) => makeConnector(node, url, options, onread),
          connections: peerLimits.bulkConnectionsMax,
          headBytesMax: peerLimits.headBytesMax,
        });
  const small = pool(peerLimits.smallConnectionsMax);
  return { url, small, bulk, hello: pool(peerLimits.helloConnectionsMax), told: undefined, asking: undefined };
}

/** undici's connectors return their socket, its types don't say so. */
type Dial = (options: buildConnector.Options, callback: buildConnector.Callback) => Socket | undefined;

function makeConnector(
  node: NodeId | undefined,
  url: URL,
  { clock, tls, admits }: ConnectionsOptions,
  onread?: OnReadOpts,
): buildConnector.connector {
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const names = node === undefined ? [host] : [host, node];
  const read = () => tls && { ca: tls.ca(), cert: tls.cert(), key: tls.key() };
  const build = (pem: ReturnType<typeof read>): Dial =>
    buildConnector({
      allowH2: false,
      timeout: 0,
      // A session that goes on would go on without the certificate being looked at.
      maxCachedSessions: 0,
      ...(onread && { onread }),
      ...(admits && { lookup: admittedOf(admits) }),
      ...(pem && {
        ...pem,
        minVersion: "TLSv1.2",
        checkServerIdentity: (_: string, certificate: PeerCertificate) =>
          isNamed(certificate, names) ? undefined : new PeerFault("refused", "a certificate of somebody else"),
      }),
    }) as Dial;
  let pem = read();
  let dial = build(pem);

  return (target, callback) => {
    // A certificate goes to nobody in the clear, and without our authority there is nobody whom it could convince.
    if (tls ? target.protocol !== "https:" : target.protocol !== "http:") {
      process.nextTick(() => callback(new PeerFault("refused", `${target.protocol} is not how peers talk here`), null));
      return;
    }
    if (admits && isIP(host) !== 0 && !admits(host)) {
      process.nextTick(() => callback(notAdmitted(host), null));
      return;
    }
    const now = read();
    if (now && pem && (now.ca !== pem.ca || now.cert !== pem.cert || now.key !== pem.key)) dial = build((pem = now));
    const done = new AbortController();
    const socket = dial(target, (...args) => {
      done.abort();
      callback(...args);
    });
    clock.sleep(peerLimits.dialMs, done.signal).then(
      () => socket?.destroy(new PeerFault("silent", `no connection within ${peerLimits.dialMs} ms`)),
      () => {},
    );
  };
}

const notAdmitted = (host: string): PeerFault => new PeerFault("refused", `${host} is at no address that peers have`);

const admittedOf =
  (admits: (address: string) => boolean): LookupFunction =>
  (hostname, options, callback) =>
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      const admitted = error ? [] : addresses.filter(({ address }) => admits(address));
      const [first] = admitted;
      if (error || !first) callback(error ?? notAdmitted(hostname), "");
      else if (options.all) callback(null, admitted);
      else callback(null, first.address, first.family);
    });
