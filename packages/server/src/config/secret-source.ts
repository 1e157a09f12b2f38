import { inspect } from "node:util";

import { watchedFile, type WatchedFileOptions } from "./watched-file.ts";

/** A secret that can be carried, printed and serialised without being told: all but `read` give `***`. */
export interface SecretSource {
  /** The file it comes from, if it does. */
  readonly file?: string;
  /** As it is now: a file may have changed. */
  read(): string;
  toString(): string;
  toJSON(): string;
}

const hidden = "***";
const masks = { toString: () => hidden, toJSON: () => hidden, [inspect.custom]: () => hidden };

export const inlineSecret = (text: string): SecretSource => Object.freeze({ ...masks, read: () => text });

/** Throws when the file can't be read or is empty; later such states leave the secret as it was. */
export function fileSecret(file: string, options: Omit<WatchedFileOptions<string>, "parse">): SecretSource {
  const watched = watchedFile(file, { ...options, parse: secretText });
  return Object.freeze({ ...masks, file, read: () => watched.current() });
}

/** Editors and `echo` end a file by a line end that is not meant. */
function secretText(text: string): string {
  const secret = text.replace(/\r?\n$/, "");
  if (secret === "") throw new Error("the file is empty");
  return secret;
}
