import { randomUUID } from "node:crypto";
import type { AddressInfo } from "node:net";

import { makeCache, type PurgeOrder } from "@pullring/core";

import { EventFeed } from "./admin/index.ts";
import { unguardedAccounts } from "./clients/unguarded-accounts.ts";
import { systemClock } from "./clock.ts";
import type { Config } from "./config/index.ts";
import { makeDrain } from "./drain.ts";
import { freshnessOf } from "./freshness.ts";
import { makeByteMover } from "./http/byte-mover.ts";
import { loadSendfile } from "./http/sendfile.ts";
import { serverLimits } from "./http/server-limits.ts";
import { openLedger } from "./ledger/ledger.ts";
import type { ProcessLog } from "./observe/log.ts";
import { makeMetrics } from "./observe/metrics.ts";
import type { Tracer } from "./observe/tracer.ts";
import { Trails } from "./observe/trails.ts";
import { openAdmin } from "./open-admin.ts";
import { openCluster, type ClusterSide } from "./open-cluster.ts";
import { openFace } from "./open-face.ts";
import { openPurges } from "./open-purges.ts";
import { openBudgets, openPriors, openQuota } from "./open-quota.ts";
import { openStorage } from "./open-storage.ts";
import { openUpstreams } from "./open-upstreams.ts";
import type { Parts } from "./parts.ts";
import type { PurgeLog } from "./purge-log.ts";
import { readMetrics } from "./read-metrics.ts";
import { stopNode } from "./stop-node.ts";
import { tellEvent } from "./tell.ts";
import { version } from "./version.ts";

export interface PullringNode {
  /** What the listeners got: of use where the configured port is 0. */
  readonly address: AddressInfo;
  readonly adminAddress: AddressInfo;
  /** Not ready from now on; what is under way ends, or is cut after two minutes. */
  stop(why: string): Promise<void>;
}

/** Builds a node from its configuration and starts it: the one place where parts are put together. Rejects if it can't listen. */
export async function openNode(config: Config, processLog: ProcessLog): Promise<PullringNode> {
  const parts = await openParts(config, processLog);
  const { log, clock, ledger, trails } = parts;
  // What sendfile sends, nobody could hash.
  const feed = new EventFeed({ clock, boot: randomUUID() });
  const mover = makeByteMover(ledger ? () => undefined : loadSendfile());
  // Storage is opened first, and asks later who does the house-keeping of what is shared.
  const late: { cluster?: ClusterSide | undefined } = {};
  // S3 tells of each purge once, perhaps before there is somebody to obey.
  const obeying = Promise.withResolvers<PurgeLog>();
  const onPurge = (order: PurgeOrder): void =>
    void obeying.promise
      .then((purges) => purges.obey(order))
      .catch((error: unknown) => log.error({ err: error }, "a purge failed"));
  const storage = await openStorage(parts, {
    exclusively: (name, run) => late.cluster?.exclusively(name, run) ?? run(),
    onPurge,
  });
  const cluster = (late.cluster = await openCluster(parts, { mover, onPurge }));
  const budgets = openBudgets(parts, cluster);
  const upstreams = await openUpstreams(parts, {
    budgets,
    priors: openPriors(parts, cluster),
    board: cluster?.sharing?.board,
    laneFetch: cluster?.client.lanes,
  });
  const quota = openQuota(parts, { budgets, lanes: () => upstreams.lanes(), cluster });
  const cache = makeCache({
    ...storage,
    ...upstreams,
    records: ledger?.records(storage.records) ?? storage.records,
    clock,
    policy: freshnessOf(config.tags),
    staleIfErrorMs: config.tags.staleIfErrorMs,
    refreshHot: config.tags.refreshHot,
    observe(event) {
      tellEvent(parts, event);
      feed.observe(event);
    },
    aroundFill: trails.aroundFill,
    cluster: cluster?.ports,
    shared: storage.s3?.blobs,
  });
  const purges = await openPurges(parts, { cache, storage, feed });
  obeying.resolve(purges);
  const drain = cluster && makeDrain(parts, { storage, cluster });
  readMetrics(parts, { cache, storage, cluster });
  const side = { cache, storage, cluster, purges, drain, quota: quota.view, feed };
  const { admin, health, views } = openAdmin(parts, side);
  const { app, inFlight } = openFace(parts, { cache, health, mover, s3: storage.s3 });
  warnOfUnguarded(parts);
  const service = { ...cache.peers, purge: (order: PurgeOrder) => purges.run(order) };
  await cluster?.listen(service, views);
  await app.listen({ ...config.listen, backlog: serverLimits.backlogMax });
  // Second, so that nobody is told that this node is ready before it is.
  await admin.listen({ ...config.admin.listen }).catch(async (error: unknown) => {
    await app.close();
    throw error;
  });
  // Last: from now on it owns keys.
  await cluster?.membership.activate();
  log.info({ listen: config.listen, admin: config.admin.listen, tls: config.tls !== undefined }, "ready to serve");

  return {
    address: app.server.address() as AddressInfo,
    adminAddress: admin.server.address() as AddressInfo,
    stop: (why) =>
      stopNode(parts, { why, app, admin, inFlight, health, cache, cluster, drain, upstreams, storage, quota }),
  };
}

async function openParts(config: Config, processLog: ProcessLog): Promise<Parts> {
  const clock = systemClock;
  const tracer = await openTracer(config, processLog);
  const trails = new Trails({ log: processLog, clock, tracer });
  return { config, log: trails.log, clock, metrics: makeMetrics(), ledger: openLedger(config, clock), trails };
}

/** What it takes to trace is loaded where it is asked for, and costs nobody else time or memory. */
async function openTracer({ tracing, node }: Config, log: ProcessLog): Promise<Tracer | undefined> {
  if (!tracing) return undefined;
  const { openOtlpTracer } = await import("./observe/otlp-tracer.ts");
  return openOtlpTracer({ tracing, node: node.id, version, log, clock: systemClock });
}

/** What an account can pull, everybody who may come in can pull, unless a rule asks who they are. */
function warnOfUnguarded({ config, log }: Parts): void {
  const accounts = unguardedAccounts(config.accounts, config.clients.rules);
  if (accounts.length > 0)
    log.warn({ accounts }, "no clients.rules guard what these accounts pull: every admitted client can have it");
}
