import { folded } from "./nearest.ts";
import type { Path } from "./path.ts";

/**
 * Keys of the contract whose capability this version does not have. They stop the start instead of doing nothing.
 * Whoever adds the capability adds the key to the schema and deletes its row.
 */
export const notYet: readonly string[] = ["upstreams.*.quota", "accounts.*.limit", "accounts.*.window", "egress"];

/** Whether the path is such a key or stands inside one; `*` is any host or index. Words are compared as variables' are. */
export function isNotYet(path: Path): boolean {
  return notYet.some((row) => {
    const steps = row.split(".");
    return (
      path.length >= steps.length &&
      steps.every((step, at) => step === "*" || folded(step) === folded(String(path[at])))
    );
  });
}
