import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";

import type { Clock } from "@pullring/core";

import { makeFailureLimit } from "../clients/failure-limit.ts";
import { parseAddress } from "../clients/networks.ts";
import type { Admin } from "../config/index.ts";
import { AdminProblem } from "./admin-problem.ts";

/** What is told apart of a request before anything is done for it. */
export type GateRequest = Pick<IncomingMessage, "headers"> & {
  readonly socket: { readonly remoteAddress?: string | undefined; readonly localAddress?: string | undefined };
};

/** Throws AdminProblem for a request that must not be answered: 401, 403, or 429 after too many wrong tokens. */
export type AdminGate = (request: GateRequest, changes: boolean) => void;

/** Wrong tokens of one address; then it waits, whatever it brings: else it could go on guessing. */
const failures = { failuresMax: 10, windowMs: 60_000, clientsMax: 10_000 } as const;

export function makeAdminGate(admin: Admin, clock: Clock): AdminGate {
  const limit = makeFailureLimit({ ...failures, clock });
  const named = new Set(admin.hosts.map((host) => parseAddress(host) ?? host));

  /** The names of this node: others are what a web page that points its own name here would ask by. */
  function isOwn(hostname: string, localAddress: string | undefined): boolean {
    const address = parseAddress(hostname);
    if (address === undefined)
      return hostname === admin.listen.host || named.has(hostname) || /^(?:.+\.)?localhost$/.test(hostname);
    return isLoopback(address) || named.has(address) || address === parseAddress(localAddress ?? "");
  }

  function checkNames({ headers, socket }: GateRequest): void {
    const host = hostOf(`http://${headers.host ?? ""}`);
    if (host === undefined || !isOwn(host.name, socket.localAddress))
      throw new AdminProblem(403, "this Host is none of this node's names: admin.hosts takes more");
    if (headers.origin === undefined) return;
    const origin = hostOf(headers.origin);
    if (origin === undefined || (origin.authority !== host.authority && !named.has(origin.name)))
      throw new AdminProblem(403, "this Origin is a foreign one");
  }

  function checkToken(request: GateRequest, changes: boolean): void {
    if (!changes && isFromHere(request)) return;
    if (!admin.token)
      throw new AdminProblem(
        403,
        "changes, and calls from other hosts, need a token, and this node has none: set admin.tokenFile",
      );
    const [, given] = /^bearer +(.+)$/i.exec(request.headers.authorization ?? "") ?? [];
    if (given === undefined) throw new AdminProblem(401, "the token is missing or wrong");
    const address = parseAddress(request.socket.remoteAddress ?? "") ?? "";
    const waitSec = limit.take(address);
    if (waitSec > 0) throw new AdminProblem(429, "too many wrong tokens came from this address", waitSec);
    if (!isEqual(given, admin.token.read())) throw new AdminProblem(401, "the token is missing or wrong");
    limit.giveBack(address);
  }

  return (request, changes) => {
    checkNames(request);
    checkToken(request, changes);
  };
}

/** A proxy on this host speaks for others, who may be anywhere. */
const isFromHere = ({ socket, headers }: GateRequest): boolean =>
  isLoopback(parseAddress(socket.remoteAddress ?? "") ?? "") &&
  !["forwarded", "x-forwarded-for", "x-real-ip", "via"].some((name) => headers[name] !== undefined);

const isLoopback = (address: string): boolean =>
  address === "::1" || (isIP(address) === 4 && address.startsWith("127."));

function hostOf(url: string): { readonly name: string; readonly authority: string } | undefined {
  const parsed = URL.parse(url);
  if (!parsed || parsed.hostname === "") return undefined;
  return { name: parsed.hostname.replace(/^\[|\]$/g, ""), authority: parsed.host };
}

/** In the same time wherever they differ, and however long they are. */
const isEqual = (a: string, b: string): boolean => timingSafeEqual(hashed(a), hashed(b));
const hashed = (text: string): Buffer => createHash("sha256").update(text).digest();
