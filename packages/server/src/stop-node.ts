import type { Cache } from "@pullring/core";
import type { Upstreams } from "@pullring/upstream";
import type { FastifyInstance } from "fastify";

import type { Drain } from "./drain.ts";
import type { Health } from "./health/health.ts";
import { serverLimits } from "./http/server-limits.ts";
import type { InFlight } from "./in-flight.ts";
import type { ClusterSide } from "./open-cluster.ts";
import type { Storage } from "./open-storage.ts";
import type { QuotaSide } from "./open-quota.ts";
import type { Parts } from "./parts.ts";

export interface Running {
  readonly why: string;
  readonly app: FastifyInstance;
  readonly admin: FastifyInstance;
  readonly inFlight: InFlight;
  readonly health: Health;
  readonly cache: Cache;
  readonly cluster: ClusterSide | undefined;
  readonly drain: Drain | undefined;
  readonly upstreams: Upstreams;
  readonly storage: Storage;
  readonly quota: QuotaSide;
}

/** Out of the ring, what is under way ends (or is cut after two minutes), and only then the parts close, those that others need last. */
export async function stopNode({ clock, log, ledger, trails }: Parts, running: Running): Promise<void> {
  const { why, app, admin, inFlight, health, cache, cluster, upstreams, storage } = running;
  log.info({ why, requests: inFlight.count() }, "draining");
  health.drain();
  await running.drain?.drain();
  await withinDrain(clock, ended(running));
  const stopFills = (): void => cache.fills.list().forEach((fill) => fill.stop());
  stopFills();
  app.server.closeAllConnections();
  await app.close();
  // A fill may be over and wait for its readers only; and a peer may have begun one meanwhile.
  await cluster?.hangUp();
  stopFills();
  await cache.fills.settled();
  await running.quota.close();
  await cluster?.close();
  await upstreams.close();
  await storage.close();
  await admin.close();
  await trails.close();
  await ledger?.close();
  log.info({}, "stopped");
  await log.flush();
}

/** Peers last: they may be copying what this node holds. */
async function ended({ inFlight, drain, cluster, storage }: Running): Promise<void> {
  await Promise.all([inFlight.idle(), drain?.done() ?? storage.s3?.flush(serverLimits.drainMs)]);
  await cluster?.drained();
}

async function withinDrain(clock: Parts["clock"], work: Promise<void>): Promise<void> {
  const over = new AbortController();
  await Promise.race([work, clock.sleep(serverLimits.drainMs, over.signal).catch(() => {})]);
  over.abort();
}
