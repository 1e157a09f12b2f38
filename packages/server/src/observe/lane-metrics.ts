import { Gauge, type Registry } from "prom-client";

import type { LaneState } from "../quota/quota-watch.ts";

type Labels = "upstream" | "lane" | "reason";

/** What this node's lanes have left, read when somebody looks. Lanes that share a budget tell the same. */
export function readLaneMetrics(registry: Registry, states: () => readonly LaneState[]): void {
  const gauge = (
    name: string,
    help: string,
    read: (state: LaneState) => [number, reason?: string] | undefined,
  ): void => {
    const labelNames: Labels[] = ["upstream", "lane", ...(name === "lane_benched" ? ["reason" as const] : [])];
    const made = new Gauge<Labels>({
      name: `pullring_${name}`,
      help,
      labelNames,
      registers: [registry],
      collect() {
        // One that has become unmetered, or is benched for another reason, must not stand beside itself.
        made.reset();
        for (const state of states()) {
          const { upstream, name: lane } = state.lane;
          const [value, reason] = read(state) ?? [];
          if (value !== undefined) made.set({ upstream, lane, ...(reason !== undefined && { reason }) }, value);
        }
      },
    });
  };
  gauge("quota_remaining", "Counted requests that are left in a lane's budget.", ({ budget }) =>
    budget?.remaining === undefined ? undefined : [Math.max(0, budget.remaining)],
  );
  gauge("quota_limit", "Counted requests that a lane's budget allows in a window.", ({ budget }) =>
    budget?.limit === undefined ? undefined : [budget.limit],
  );
  gauge("lane_benched", "1 for a lane that is not used now, and why.", ({ lane: { benched } }) => [
    benched === undefined ? 0 : 1,
    benched ?? "",
  ]);
}
