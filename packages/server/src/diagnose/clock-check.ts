import type { Clock } from "@pullring/core";

import type { Answer } from "./ask.ts";
import { fail, ok, warn, type Check } from "./finding.ts";
import { diagnoseLimits as limits } from "./limits.ts";

export interface ClockCheckOptions {
  readonly host: string;
  readonly ask: () => Promise<Answer>;
  readonly clock: Pick<Clock, "now">;
}

const byHand = "compare this machine's clock by hand: date -u";
const advice = "let this machine's clock be set: timedatectl set-ntp true, or chrony";

/** This machine's time beside that of an upstream's Date header, which tells whole seconds. */
export function clockCheck({ host, ask, clock }: ClockCheckOptions): Check {
  return {
    name: "clock",
    async run() {
      const beforeMs = clock.now();
      const answer = await ask().catch(() => undefined);
      const afterMs = clock.now();
      if (!answer) return warn(`can't be compared: ${host} can't be asked`, byHand);
      const toldMs = Date.parse(answer.headers.date ?? "");
      if (Number.isNaN(toldMs)) return warn(`${host} tells no time`, byHand);
      const skewMs = distance(toldMs, beforeMs, afterMs);
      const found = `${Math.round(Math.abs(skewMs) / 1000)} s ${skewMs > 0 ? "behind" : "ahead of"} ${host}`;
      if (Math.abs(skewMs) >= limits.skewFailMs) return fail(found, advice);
      return Math.abs(skewMs) >= limits.skewWarnMs ? warn(found, advice) : ok(`as ${host} has it`);
    },
  };
}

/** From the nearest moment at which the header can have been written; positive = our clock is behind. */
function distance(toldMs: number, beforeMs: number, afterMs: number): number {
  if (toldMs > afterMs) return toldMs - afterMs;
  return Math.min(0, toldMs + 999 - beforeMs);
}
