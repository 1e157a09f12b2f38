import type { NodeId } from "@pullring/core";

/** What the ring and the callers of a node need to know of it. */
export interface Member {
  readonly id: NodeId;
  /** Origin of its peer listener. */
  readonly url: string;
  /** What is hashed for it: the load balancer's own text. */
  readonly ringName: string;
  readonly weight: number;
}

/** `joining` serves and owns nothing yet; `leaving` owns nothing any more, and serves until it is gone. */
export type MemberState = "joining" | "active" | "leaving";

/** What a node tells of itself with each beat. */
export interface MemberDocument extends Member {
  readonly state: MemberState;
  /** Another one for each start of the node. */
  readonly incarnation: string;
  /** Of the product. */
  readonly version: string;
}

const idGrammar = /^[A-Za-z0-9._-]{1,128}$/;
const ringNameGrammar = /^[\x21-\x7e]{1,255}$/;
const incarnationGrammar = /^[A-Za-z0-9-]{8,64}$/;
const versionGrammar = /^[\x21-\x7e]{1,64}$/;
const weightMax = 100;
const urlLengthMax = 300;
const documentLengthMax = 2_048;

/** The incarnation stands first, where a script in Redis finds it without parsing what others wrote. */
export const formatDocument = (document: MemberDocument): string =>
  `${document.incarnation} ${JSON.stringify(document)}`;

/** Whoever writes to Redis may be hostile: anything out of the ordinary is undefined. */
export function parseDocument(id: unknown, text: unknown): MemberDocument | undefined {
  if (typeof text !== "string" || text.length > documentLengthMax) return undefined;
  const space = text.indexOf(" ");
  const found = parseObject(text.slice(space + 1));
  const member = parseMember(found);
  if (!found || !member || member.id !== id) return undefined;
  const { state, incarnation, version } = found;
  if (state !== "joining" && state !== "active" && state !== "leaving") return undefined;
  if (!isWord(incarnation, incarnationGrammar) || incarnation !== text.slice(0, space)) return undefined;
  return isWord(version, versionGrammar) ? { ...member, state, incarnation, version } : undefined;
}

export function parseMember(found: unknown): Member | undefined {
  if (typeof found !== "object" || found === null) return undefined;
  const { id, url, ringName, weight } = found as Record<string, unknown>;
  const origin = parseOrigin(url);
  if (!isWord(id, idGrammar) || origin === undefined || !isWord(ringName, ringNameGrammar)) return undefined;
  return isWeight(weight) ? { id, url: origin, ringName, weight } : undefined;
}

const isWord = (found: unknown, grammar: RegExp): found is string => typeof found === "string" && grammar.test(found);

const isWeight = (found: unknown): found is number => Number.isInteger(found) && within(found as number);
const within = (weight: number): boolean => weight >= 1 && weight <= weightMax;

/** Nothing but scheme, host and port: no credentials, path, query or fragment. */
function parseOrigin(found: unknown): string | undefined {
  if (typeof found !== "string" || found.length > urlLengthMax || !/^https?:\/\/[^/?#@\\\s]+\/?$/.test(found))
    return undefined;
  return URL.parse(found)?.origin;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === "object" && found !== null ? (found as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
