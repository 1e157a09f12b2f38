import type { AddressInfo } from "node:net";

import { makeCache } from "@pullring/core";

import { unguardedAccounts } from "./clients/unguarded-accounts.ts";
import { systemClock } from "./clock.ts";
import type { Config } from "./config/index.ts";
import { freshnessOf } from "./freshness.ts";
import { makeAdminApp } from "./health/admin-app.ts";
import { makeHealth } from "./health/health.ts";
import { serverLimits } from "./http/server-limits.ts";
import type { ProcessLog } from "./observe/log.ts";
import { makeMetrics } from "./observe/metrics.ts";
import { openFace } from "./open-face.ts";
import { openStorage } from "./open-storage.ts";
import { openUpstreams } from "./open-upstreams.ts";
import type { Parts } from "./parts.ts";
import { tellEvent } from "./tell.ts";

export interface PullringNode {
  /** What the listeners got: of use where the configured port is 0. */
  readonly address: AddressInfo;
  readonly adminAddress: AddressInfo;
  /** Not ready from now on; what is under way ends, or is cut after two minutes. */
  stop(why: string): Promise<void>;
}

/** Builds a node from its configuration and starts it: the one place where parts are put together. Rejects if it can't listen. */
export async function openNode(config: Config, log: ProcessLog): Promise<PullringNode> {
  const clock = systemClock;
  const metrics = makeMetrics();
  const parts: Parts = { config, log, clock, metrics };
  const storage = await openStorage(parts);
  const upstreams = openUpstreams(parts);
  const cache = makeCache({
    ...storage,
    ...upstreams,
    clock,
    policy: freshnessOf(config.tags),
    staleIfErrorMs: config.tags.staleIfErrorMs,
    observe: (event) => tellEvent(parts, event),
  });
  const { disk, memory } = storage;
  metrics.read({
    fills: () => ({ ...cache.gate.counts() }),
    fillReaders: () => cache.fills.list().reduce((sum, fill) => sum + fill.progress().readers, 0),
    tierBytes: { memory: () => memory.bytes(), disk: () => disk.bytes() },
  });
  const health = makeHealth({ degradedBy: () => (disk.diskless === undefined ? [] : [`no disk: ${disk.diskless}`]) });
  const admin = makeAdminApp({ health, metrics });
  const { app, inFlight } = openFace(parts, { cache, health });
  warnOfUnguarded(parts);
  await app.listen({ ...config.listen });
  // Second, so that nobody is told that this node is ready before it is.
  await admin.listen({ ...config.admin.listen }).catch(async (error: unknown) => {
    await app.close();
    throw error;
  });
  log.info({ listen: config.listen, admin: config.admin.listen, tls: config.tls !== undefined }, "ready to serve");

  return {
    address: app.server.address() as AddressInfo,
    adminAddress: admin.server.address() as AddressInfo,
    async stop(why) {
      log.info({ why, requests: inFlight.count() }, "draining");
      health.drain();
      const drained = new AbortController();
      await Promise.race([inFlight.idle(), clock.sleep(serverLimits.drainMs, drained.signal).catch(() => {})]);
      drained.abort();
      for (const fill of cache.fills.list()) fill.stop();
      app.server.closeAllConnections();
      await app.close();
      await cache.fills.settled();
      await upstreams.close();
      await storage.close();
      await admin.close();
      log.info({}, "stopped");
      await log.flush();
    },
  };
}

/** What an account can pull, everybody who may come in can pull, unless a rule asks who they are. */
function warnOfUnguarded({ config, log }: Parts): void {
  const accounts = unguardedAccounts(config.accounts, config.clients.rules);
  if (accounts.length > 0)
    log.warn({ accounts }, "no clients.rules guard what these accounts pull: every admitted client can have it");
}
