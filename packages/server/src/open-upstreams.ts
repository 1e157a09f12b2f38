import { makeUpstreams, type Upstreams } from "@pullring/upstream";

import { systemRandom } from "./clock.ts";
import { watchedFile } from "./config/index.ts";
import type { Parts } from "./parts.ts";

/** The upstreams of the configuration, counted. Authorities are read again when their file changes. */
export function openUpstreams({ config, clock, log, metrics, ledger }: Parts): Upstreams {
  const onError = (error: Error, path: string): void =>
    log.error({ err: error, path }, "a file of authorities can't be read again; the ones before stay in use");
  const upstreams = Object.values(config.upstreams).map(({ caFile, ...upstream }) => {
    if (caFile === undefined) return upstream;
    const authorities = watchedFile(caFile, { parse: (text) => text, onError, clock });
    return { ...upstream, ca: () => authorities.current() };
  });
  return makeUpstreams({
    upstreams,
    accounts: config.accounts,
    clock,
    random: systemRandom,
    node: config.node.id,
    observe: (request) => metrics.upstreamRequest(request),
    onWire: ledger?.onWire,
    log,
  });
}
