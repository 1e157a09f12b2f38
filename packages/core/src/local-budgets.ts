import { BudgetMarks } from "./budget-marks.ts";
import { BudgetTable } from "./budget-table.ts";
import type { Clock } from "./ports.ts";
import type { Budgets } from "./quota-ports.ts";

const self = "self";

/** The budgets of a node that shares them with nobody. */
export function makeLocalBudgets({ clock }: { readonly clock: Clock }): Budgets {
  const table = new BudgetTable();
  const seen = new BudgetMarks();
  let takes = 0;

  /** What is told from now on is told of requests that were sent when all this was known. */
  const done = <T>(result: T): T => {
    seen.mark(clock.monotonic(), table.seq);
    return result;
  };

  return {
    async take(wishes) {
      takes += 1;
      const id = String(takes);
      const taken = done(table.take({ id, node: self, wishes, now: clock.monotonic() }));
      if (taken.key === undefined) return { state: "empty", retryAfterSec: taken.retryAfterSec };
      const { key } = taken;
      let isSettled = false;
      return {
        state: "taken",
        take: {
          key,
          settle(outcome) {
            if (isSettled) return;
            isSettled = true;
            done(table.settle({ id, node: self, key, outcome, now: clock.monotonic() }));
          },
        },
      };
    },
    tell(key, told, askedAt) {
      const asked = { seq: seen.at(askedAt), at: askedAt };
      done(table.tell({ key, told, asked, now: clock.monotonic() }));
    },
    async all() {
      const now = clock.monotonic();
      return done(table.states(now, (at) => clock.now() - (now - at)));
    },
  };
}
