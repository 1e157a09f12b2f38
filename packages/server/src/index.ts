/**
 * The process around the cache. `startNode` reads the configuration and starts a node; README.md tells where things are.
 */
import { systemClock } from "./clock.ts";
import { loadConfig, processEnvironment, redacted } from "./config/index.ts";
import { makeLog } from "./observe/log.ts";
import { openNode, type PullringNode } from "./node.ts";

export { adoptRegistry, type AdoptedPlace, type AdoptSummary } from "./adopt/adopt-registry.ts";
export type { AdoptProgress } from "./adopt/adopt-blobs.ts";
export { ConfigError } from "./config/index.ts";
export { diagnose } from "./diagnose/diagnose.ts";
export type { Check, Finding } from "./diagnose/finding.ts";
export { StartError } from "./start-error.ts";
export type { LedgerLine } from "./ledger/lines.ts";
export type { PullringNode } from "./node.ts";

/** Starts a node from the file (or none), the environment and the defaults. Rejects with ConfigError for what is wrong there. */
export async function startNode(file: string | undefined): Promise<PullringNode> {
  const told: { log?: ReturnType<typeof makeLog> } = {};
  const config = await loadConfig({
    file,
    env: processEnvironment(),
    onSecretError: (error, path) =>
      told.log?.error({ err: error, path }, "a secret can't be read again; the one before stays"),
  });
  const log = makeLog({ ...config.log, clock: systemClock });
  told.log = log;
  log.debug({ config: redacted(config) }, "the effective configuration");
  return openNode(config, log);
}
