import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

export interface EventuallyOptions {
  readonly timeoutMs?: number;
  readonly intervalMs?: number;
}

/** Resolves with the condition's first true value; for what has no event to wait for. */
export async function eventually<T>(
  condition: () => T | Promise<T>,
  { timeoutMs = 5_000, intervalMs = 5 }: EventuallyOptions = {},
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() >= deadline) throw new Error(`not true within ${timeoutMs} ms: ${String(condition)}`);
    await sleep(intervalMs);
  }
}

/** The digest of bytes, or of a stream once it has ended. */
export async function digestOf(
  source: Uint8Array | string | AsyncIterable<Uint8Array>,
  algorithm: "sha256" | "sha512" = "sha256",
): Promise<`${"sha256" | "sha512"}:${string}`> {
  const hash = createHash(algorithm);
  if (typeof source === "string" || source instanceof Uint8Array) hash.update(source);
  else for await (const chunk of source) hash.update(chunk);
  return `${algorithm}:${hash.digest("hex")}`;
}
