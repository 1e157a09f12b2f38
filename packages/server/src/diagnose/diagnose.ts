import { lookup } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { isIP } from "node:net";

import type { BlobStore } from "@pullring/core";

import { systemClock, systemRandom } from "../clock.ts";
import {
  ConfigError,
  loadConfig,
  processEnvironment,
  type Account,
  type Config,
  type Upstream,
} from "../config/index.ts";
import { knownUpstreams } from "../config/known-upstreams.ts";
import { makeLog } from "../observe/log.ts";
import { makeMetrics } from "../observe/metrics.ts";
import { Trails } from "../observe/trails.ts";
import { redisReach } from "../open-redis.ts";
import { openShared } from "../open-shared.ts";
import type { Parts } from "../parts.ts";
import { ask } from "./ask.ts";
import { clockCheck } from "./clock-check.ts";
import { diskCheck } from "./disk-check.ts";
import { dnsCheck } from "./dns-check.ts";
import { fail, ok, type Check } from "./finding.ts";
import { mirrorChecks } from "./mirror-checks.ts";
import { portCheck } from "./port-check.ts";
import { quotaCheck, quotaRepository } from "./quota-check.ts";
import { redisCheck } from "./redis-check.ts";
import { probeRegistry, registryUrl, type RegistryProbe } from "./registry-probe.ts";
import { s3Check } from "./s3-check.ts";
import { upstreamCheck } from "./upstream-check.ts";

export interface DiagnoseOptions {
  /** As for `startNode`. */
  readonly file: string | undefined;
  /** As clients reach the node: http or https, without a path. */
  readonly mirror?: { readonly url: URL; readonly ca?: string | undefined } | undefined;
}

/** What can be asked about a node's set-up before it runs, and while it does. Nothing is asked before a check is run. */
export async function diagnose({ file, mirror }: DiagnoseOptions): Promise<readonly Check[]> {
  const ofMirror = mirror ? mirrorChecks({ ...mirror, now: () => systemClock.now() }) : [];
  return [...(await checksOf(file)), ...ofMirror];
}

async function checksOf(file: string | undefined): Promise<readonly Check[]> {
  const name = "configuration";
  try {
    const config = await loadConfig({ file, env: processEnvironment() });
    const read = { name, run: () => Promise.resolve(ok(file ?? "no file: environment and defaults")) };
    return [read, ...ofThisMachine(config), ...ofWhatIsShared(config), ...(await ofUpstreams(config))];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const told = fail(error.message, "docs/configuration.md has every setting; the node does not start like this");
    return [{ name, run: () => Promise.resolve(told) }];
  }
}

function ofThisMachine({ listen, admin, tls, cluster, storage }: Config): readonly Check[] {
  const ports = [
    portCheck({ setting: "listen", address: listen, isTls: tls !== undefined, tellsHealth: true }),
    portCheck({ setting: "admin.listen", address: admin.listen, isTls: false, tellsHealth: true }),
  ];
  if (cluster) {
    const address = cluster.peer.listen;
    ports.push(portCheck({ setting: "cluster.peer.listen", address, isTls: false, tellsHealth: false }));
  }
  return [...ports, diskCheck(storage.disk)];
}

function ofWhatIsShared(config: Config): readonly Check[] {
  const clock = systemClock;
  const log = makeLog({ level: "silent", clock });
  const parts: Parts = { config, clock, log, metrics: makeMetrics(), trails: new Trails({ log, clock }) };
  const checks: Check[] = [];
  const { s3 } = config.storage;
  if (config.cluster?.redis)
    checks.push(redisCheck(redisReach(parts, config.cluster.redis), { clock, random: systemRandom }));
  if (s3) {
    // House-keeping and purges are the nodes' business.
    const sharing = { local: nothing, exclusively: () => Promise.resolve(), onPurge: () => {} };
    const open = async () => {
      const tier = await openShared(parts, sharing);
      if (!tier) throw new Error("storage.s3 is configured, but was not opened");
      return tier;
    };
    checks.push(s3Check({ bucket: s3.bucket, open, clock }));
  }
  return checks;
}

/** Nothing is uploaded, so nothing is read. */
const nothing: Pick<BlobStore, "open" | "stat"> = { open: () => Promise.resolve(undefined), stat: () => undefined };

/** Of those that somebody chose: the built-in others may well be out of reach for good. */
async function ofUpstreams(config: Config): Promise<readonly Check[]> {
  const isChosen = ({ name }: Upstream): boolean =>
    name === config.default || !(name in knownUpstreams) || config.accounts.some(({ upstream }) => upstream === name);
  const chosen = Object.values(config.upstreams).filter(isChosen);
  const checks = await Promise.all(chosen.map((upstream) => ofUpstream(upstream, config)));
  return checks.flat();
}

async function ofUpstream(upstream: Upstream, config: Config): Promise<readonly Check[]> {
  const { name, url, tokenOrigins, caFile, offline } = upstream;
  const accounts = config.accounts.filter((account) => account.upstream === name);
  const ca = caFile === undefined ? undefined : await readFile(caFile, "utf8");
  const isHub = name === "docker.io";
  const scope = isHub ? { scope: `repository:${quotaRepository}:pull` } : {};
  /** Asked once, whichever check comes first: wrong logins are counted by registries. */
  const probing = (account?: Account): (() => Promise<RegistryProbe>) => {
    let probe: Promise<RegistryProbe> | undefined;
    return () => (probe ??= probeRegistry({ upstream, account, ca, ...scope }));
  };
  const anonymous = probing();
  const checks = [upstreamCheck({ upstream, probe: anonymous })];
  if (offline) return checks;
  const hosts = [url, ...tokenOrigins.map((origin) => new URL(origin))].map(({ hostname }) => hostname);
  const names = [...new Set(hosts)].filter((host) => isIP(host.replace(/^\[(.*)\]$/, "$1")) === 0);
  if (names.length > 0) checks.unshift(dnsCheck({ upstream: name, hosts: names, lookup: addressesOf }));
  if (name === config.default) {
    const asked = () => ask(registryUrl(upstream, ""), { ca });
    checks.push(clockCheck({ host: url.host, ask: asked, clock: systemClock }));
  }
  const quotaOf = (whose: string, probe: () => Promise<RegistryProbe>): readonly Check[] =>
    isHub ? [quotaCheck({ upstream, whose, probe, ca })] : [];
  for (const account of accounts) {
    const probe = probing(account);
    checks.push(upstreamCheck({ upstream, account: account.name, probe }), ...quotaOf(account.name, probe));
  }
  return accounts.length > 0 ? checks : [...checks, ...quotaOf("anonymous", anonymous)];
}

const addressesOf = async (host: string): Promise<readonly string[]> =>
  (await lookup(host, { all: true })).map(({ address }) => address);
