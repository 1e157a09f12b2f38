import type { Command } from "./command.ts";

type Words = Pick<Command, "usage" | "summary" | "examples">;

/** What each verb is for, in two lines. */
export const summaryLines = (commands: Iterable<Words>): string =>
  [...commands].map(({ usage, summary }) => `  pullring ${usage}\n      ${summary}\n`).join("");

/** One verb; `more` tells of options that it shares with others. */
export function helpFor(command: Words, more: string): string {
  const { examples = [] } = command;
  const shown = examples.map(([line, what]) => `  $ ${line}\n      ${what}\n`);
  const parts = [
    `Usage:\n${summaryLines([command])}`,
    ...(more === "" ? [] : [`Options:\n${more}`]),
    ...(shown.length === 0 ? [] : [`Examples:\n${shown.join("")}`]),
  ];
  return parts.join("\n");
}
