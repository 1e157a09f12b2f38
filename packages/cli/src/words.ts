import { CommandError, exitCodes } from "./exit-codes.ts";

/** The words behind a verb that are no options: none of them, or one. */
export function none(words: readonly string[]): void {
  if (words.length > 0) throw new CommandError(exitCodes.usage, `"${words.join(" ")}" is one word too many`);
}

export function one(words: readonly string[], what: string): string {
  const [word, ...more] = words;
  if (word === undefined) throw new CommandError(exitCodes.usage, `what is missing: ${what}`);
  none(more);
  return word;
}
