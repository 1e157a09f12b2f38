import type { CommandEnd } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";

/** How an answer of the whole cluster ends when some nodes could not be asked. */
export function completeness(missing: readonly string[]): Pick<CommandEnd, "note" | "code"> {
  if (missing.length === 0) return { code: exitCodes.ok };
  return { code: exitCodes.incomplete, note: `not reached: ${missing.join(", ")}` };
}
