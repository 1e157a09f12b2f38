import type { Clock } from "@pullring/core";

import { limits } from "./limits.ts";
import { S3Error } from "./s3-error.ts";

export interface StallWatch {
  /** Aborts when nothing has moved for 10 s, other than by our own holding back. */
  readonly signal: AbortSignal;
  moved(): void;
  /** Waits for whoever takes the bytes; this time is not the service's. */
  hold(taken: Promise<void>): Promise<void>;
  end(): void;
}

export function watchStalls(clock: Clock): StallWatch {
  const stalled = new AbortController();
  const over = new AbortController();
  let movedAt = clock.monotonic();
  let isHeld = false;

  async function watch(): Promise<void> {
    for (;;) {
      const leftMs = isHeld ? limits.stallMs : movedAt + limits.stallMs - clock.monotonic();
      if (leftMs <= 0) return stalled.abort(new S3Error("stalled", `nothing moved for ${limits.stallMs} ms`));
      await clock.sleep(leftMs, over.signal);
    }
  }
  // Ends by `over` only.
  watch().catch(() => {});

  const moved = (): void => void (movedAt = clock.monotonic());
  return {
    signal: stalled.signal,
    moved,
    async hold(taken) {
      isHeld = true;
      await taken;
      isHeld = false;
      moved();
    },
    end: () => over.abort(),
  };
}
