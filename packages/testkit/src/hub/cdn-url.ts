import { createHmac } from "node:crypto";
import type { HubState } from "./state.ts";

const signatureOf = (secret: string, text: string): string =>
  createHmac("sha256", secret).update(text).digest("base64url").slice(0, 32);

/** A path with a signature that is good for one base address and a while. */
export function signedPath(state: HubState, base: string, path: string): string {
  const expiresAt = Math.floor(state.now() / 1000) + state.knobs.redirectTtlSec;
  return `${path}?verify=${expiresAt}-${signatureOf(state.secret, `${base}${path}${expiresAt}`)}`;
}

export function isSignedNow(state: HubState, base: string, path: string, query: URLSearchParams): boolean {
  const [expiresAt = "", ...signature] = (query.get("verify") ?? "").split("-");
  if (signature.join("-") !== signatureOf(state.secret, `${base}${path}${expiresAt}`)) return false;
  return state.now() < Number(expiresAt) * 1000;
}
