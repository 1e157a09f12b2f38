import type { BlobOrder, Cache } from "@pullring/core";

export interface DrainOptions {
  readonly signal: AbortSignal;
  /** Told of bytes that have come; a returned promise holds the reading back. */
  readonly onBytes: (bytes: number) => void | Promise<void>;
}

/**
 * Reads a blob to its end, for nobody. Rejects as the read does, or with the signal's reason. Resolves to what waits until the fill that
 * brought it is over: only then its bytes are at rest, or nobody keeps them.
 */
export async function drainBlob(
  { blobs, fills }: Pick<Cache, "blobs" | "fills">,
  order: BlobOrder,
  { signal, onBytes }: DrainOptions,
): Promise<() => Promise<void>> {
  const { body } = await blobs.open(order);
  const fill = fills.list().find(({ digest }) => digest === order.digest);
  const aborted = whenAborted(signal);
  try {
    for (let offset = 0; offset < body.size;) {
      signal.throwIfAborted();
      const segment = await Promise.race([body.next(offset, body.size), aborted]);
      const length = "fd" in segment ? segment.length : segment.bytes.length;
      offset += length;
      await onBytes(length);
    }
    return async () => {
      if (fill) await Promise.race([fills.ended(fill), whenAborted(signal)]);
    };
  } finally {
    body.close();
  }
}

function whenAborted(signal: AbortSignal): Promise<never> {
  const aborted = Promise.withResolvers<never>();
  aborted.promise.catch(() => {});
  const onAbort = (): void => aborted.reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  return aborted.promise;
}
