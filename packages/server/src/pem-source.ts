import { watchedFile } from "./config/index.ts";
import type { Parts } from "./parts.ts";

/** The text of a PEM file, which follows its changes. Throws when the file can't be read at first. */
export function pemSource({ clock, log }: Pick<Parts, "clock" | "log">, path: string): () => string {
  const onError = (error: Error): void =>
    log.error({ err: error, path }, "a PEM file can't be read again; what was in it stays in use");
  const file = watchedFile(path, { parse: (text) => text, onError, clock });
  return () => file.current();
}
