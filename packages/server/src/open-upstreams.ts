import { createSocket } from "node:dgram";
import { once } from "node:events";
import { isIPv6 } from "node:net";

import { type Budgets, type LaneBoard, type LaneFetch, type PriorDigests } from "@pullring/core";
import { makeUpstreams, type Egress, type OnWire, type Upstreams } from "@pullring/upstream";

import { systemRandom } from "./clock.ts";
import { watchedFile, type Config } from "./config/index.ts";
import type { Parts } from "./parts.ts";
import { StartError } from "./start-error.ts";

export interface UpstreamSide {
  readonly budgets: Budgets;
  readonly priors: PriorDigests;
  /** What nodes tell each other of their lanes; absent where this one is alone. */
  readonly board: LaneBoard | undefined;
  readonly laneFetch: LaneFetch | undefined;
}

/** The upstreams of the configuration, counted. Authorities are read again when their file changes. */
export async function openUpstreams(parts: Parts, side: UpstreamSide): Promise<Upstreams> {
  const { config, clock, log, metrics, ledger, trails } = parts;
  const onError = (error: Error, path: string): void =>
    log.error({ err: error, path }, "a file of authorities can't be read again; the ones before stay in use");
  const upstreams = Object.values(config.upstreams).map(({ caFile, ...upstream }) => {
    if (caFile === undefined) return upstream;
    const authorities = watchedFile(caFile, { parse: (text) => text, onError, clock });
    return { ...upstream, ca: () => authorities.current() };
  });
  return makeUpstreams({
    ...side,
    upstreams,
    accounts: config.accounts,
    egress: await egressHere(parts),
    clock,
    random: systemRandom,
    node: config.node.id,
    observe: (request) => metrics.upstreamRequest(request),
    onWire: bothOf(ledger?.onWire, trails.onWire),
    log,
  });
}

function bothOf(one: OnWire | undefined, other: OnWire | undefined): OnWire | undefined {
  if (!one || !other) return one ?? other;
  return (ask) => {
    const ends = [one(ask), other(ask)];
    return (end) => ends.forEach((told) => told(end));
  };
}

/** Those that are meant for this node and that it can bind to. Rejects when that leaves none. */
async function egressHere({ config, log }: Parts): Promise<readonly Egress[]> {
  const here: Egress[] = [];
  for (const { nodes, ...egress } of config.egress) {
    if (nodes && !nodes.includes(config.node.id)) continue;
    const { name, localAddress } = egress;
    if (localAddress === undefined || (await isBindable(localAddress))) here.push(egress);
    else log.warn({ egress: name, localAddress }, "this node has no such address and does not use it");
  }
  if (here.length === 0) throw new StartError(`egress: none of ${names(config)} can be used by ${config.node.id}`);
  return here;
}

const names = ({ egress }: Config): string => egress.map(({ name }) => name).join(", ");

/** By a datagram socket, which takes an address and disturbs nobody. */
async function isBindable(address: string): Promise<boolean> {
  const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
  try {
    const bound = once(socket, "listening");
    socket.bind({ address, port: 0, exclusive: true });
    await bound;
    return true;
  } catch {
    return false;
  } finally {
    socket.close();
  }
}
