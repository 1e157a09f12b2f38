import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/**
 * HMAC-SHA256 under the cluster's secret, which never travels. A request's MAC is over its method, target, range, body and facts;
 * an answer's over the MAC of its request, so it answers nothing else, and over its status, length and facts. Bodies that a digest
 * vouches for are in neither.
 */
export interface SealedRequest {
  readonly method: string;
  readonly target: string;
  readonly range: string | undefined;
  readonly body: string;
  /** The header as it crosses. */
  readonly facts: string;
}

export interface SealedAnswer {
  /** MAC of the request. */
  readonly request: string;
  readonly status: number;
  readonly contentLength: string;
  readonly facts: string;
}

const requestText = ({ method, target, range = "", body, facts }: SealedRequest): string =>
  ["pullring peer v1 request", method, target, range, hashOf(body), facts].join("\n");

const answerText = ({ request, status, contentLength, facts }: SealedAnswer): string =>
  ["pullring peer v1 answer", request, status, contentLength, facts].join("\n");

export const hashOf = (body: string | Uint8Array): string => createHash("sha256").update(body).digest("base64url");

export const sealRequest = (secret: string, request: SealedRequest): string => macOf(secret, requestText(request));
export const sealAnswer = (secret: string, answer: SealedAnswer): string => macOf(secret, answerText(answer));

/** The secret under which the request was sealed; undefined = none of these. */
export function secretOf(secrets: readonly string[], request: SealedRequest, mac: string): string | undefined {
  const text = requestText(request);
  return secrets.find((secret) => secret !== "" && isEqual(macOf(secret, text), mac));
}

export const isSealed = (secret: string, answer: SealedAnswer, mac: string): boolean =>
  isEqual(macOf(secret, answerText(answer)), mac);

const macOf = (secret: string, text: string): string => createHmac("sha256", secret).update(text).digest("base64url");

/** In a time that tells nothing of where the two differ. */
function isEqual(expected: string, found: string): boolean {
  const [left, right] = [Buffer.from(expected), Buffer.from(found)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Not from a port: whoever can predict these can prepare a replay. */
export const makeNonce = (): string => randomBytes(12).toString("base64url");
