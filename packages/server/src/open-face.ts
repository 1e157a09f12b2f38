import { randomBytes } from "node:crypto";

import type { Cache } from "@pullring/core";
import type { S3 } from "@pullring/storage";
import type { FastifyInstance } from "fastify";

import { makeClientAddress, type ClientAddress } from "./clients/address.ts";
import { makeBasicAuth } from "./clients/basic-auth.ts";
import { makeDoorkeeper } from "./clients/doorkeeper.ts";
import { parseHtpasswd, type Users } from "./clients/htpasswd.ts";
import { networks } from "./clients/networks.ts";
import { makeRules } from "./clients/rules.ts";
import { canonicalNames, watchedFile } from "./config/index.ts";
import type { Health } from "./health/health.ts";
import { makeApp } from "./http/app.ts";
import type { ByteMover } from "./http/byte-mover.ts";
import { makeRequestIds } from "./http/exchange.ts";
import { serveRegistry, type Doorkeeper } from "./http/registry.ts";
import { Responder } from "./http/respond.ts";
import { makeInFlight, type InFlight } from "./in-flight.ts";
import { makeListener } from "./listener.ts";
import type { Parts } from "./parts.ts";
import { StartError } from "./start-error.ts";
import { tellEnd, tellUnreadable } from "./tell.ts";
import { openServerTls } from "./tls/server-tls.ts";

/** The registry face, not yet listening. */
export interface Face {
  readonly app: FastifyInstance;
  readonly inFlight: InFlight;
}

export interface FaceOptions {
  readonly cache: Cache;
  readonly health: Health;
  readonly mover: ByteMover;
  /** Is told what is in use. */
  readonly s3: Pick<S3, "used"> | undefined;
}

export function openFace(parts: Parts, { cache, health, mover, s3 }: FaceOptions): Face {
  const { config, clock, log, ledger, trails } = parts;
  const inFlight = makeInFlight();
  const addresses = makeClientAddress({ trustedProxies: config.clients.trustedProxies });
  const { tls: files } = config;
  const tls = files && orStop("tls", () => openServerTls({ files, clock, log }));
  const registry = {
    cache,
    names: { default: config.default, canonical: canonicalNames(config.upstreams) },
    doorkeeper: openDoorkeeper(parts, addresses),
    responder: new Responder(mover, () => clock.monotonic()),
    fallback: config.fallback,
  };
  const app = makeApp({
    makeServer: (listener) => addresses.front(makeListener(listener, tls)),
    serve: async (exchange) => {
      inFlight.enter();
      if (health.readyz().word === "draining") exchange.response.setHeader("connection", "close");
      const run = (): Promise<void> => serveRegistry(registry, exchange);
      await trails.serve(exchange, () => (ledger ? ledger.serve(exchange, run) : run()));
    },
    health,
    requestId: makeRequestIds(randomBytes(6).toString("base64url")),
    monotonic: () => clock.monotonic(),
    onEnd: (exchange) => {
      tellEnd(parts, exchange);
      if (exchange.digest) s3?.used(exchange.digest);
      inFlight.leave();
    },
    onUnreadable: (unreadable) => tellUnreadable(parts, unreadable),
  });
  return { app, inFlight };
}

function openDoorkeeper({ config, clock, log }: Parts, addresses: ClientAddress): Doorkeeper {
  const { allow, auth, rules } = config.clients;
  const door = {
    addressOf: (request: Parameters<ClientAddress["of"]>[0]) => addresses.of(request),
    allowed: networks(allow),
    mayPull: makeRules(rules),
  };
  if (!auth) return makeDoorkeeper(door);
  const onError = (error: Error, path: string): void =>
    log.error({ err: error, path }, "the password file can't be read again; the users before stay");
  const parse = (text: string): Users => {
    const found = parseHtpasswd(text);
    const warning = "the password file has no user: every client is turned away";
    if (found.size === 0) log.warn({ path: auth.htpasswdFile }, warning);
    return found;
  };
  const users = orStop(`clients.auth.htpasswdFile: ${auth.htpasswdFile}`, () =>
    watchedFile(auth.htpasswdFile, { parse, onError, clock }),
  );
  return makeDoorkeeper({ ...door, auth: makeBasicAuth({ users, clock }) });
}

/** What a file that the configuration names must hold is found out when it is opened; the message then starts with the key. */
function orStop<T>(key: string, open: () => T): T {
  try {
    return open();
  } catch (error) {
    throw new StartError(`${key}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
