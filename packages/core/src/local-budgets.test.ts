import { budgetSuite, virtualClock } from "@pullring/testkit";

import { makeLocalBudgets } from "./local-budgets.ts";

budgetSuite({
  name: "of one node",
  open: async () => {
    const clock = virtualClock();
    const budgets = makeLocalBudgets({ clock });
    return {
      of: () => budgets,
      now: () => clock.monotonic(),
      advance: (ms) => clock.advance(ms),
      close: async () => {},
    };
  },
});
