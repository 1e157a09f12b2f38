import type { Clock } from "@pullring/core";

import type { Config } from "./config/index.ts";
import type { Ledger } from "./ledger/ledger.ts";
import type { ProcessLog } from "./observe/log.ts";
import type { Metrics } from "./observe/metrics.ts";
import type { Trails } from "./observe/trails.ts";

/** What nearly every part of a node is built with. */
export interface Parts {
  readonly config: Config;
  readonly log: ProcessLog;
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly trails: Trails;
  /** Absent = no books are kept. */
  readonly ledger?: Ledger | undefined;
}
