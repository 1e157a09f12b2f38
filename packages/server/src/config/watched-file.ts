import { readFileSync, statSync } from "node:fs";

import type { Clock } from "@pullring/core";

export interface WatchedFileOptions<T> {
  /** May throw: at first that is the caller's, later it leaves the value as it was. */
  readonly parse: (text: string) => T;
  /** Told once of a failing re-read, and again when it fails otherwise. The value before stays in use. */
  readonly onError: (error: Error, path: string) => void;
  readonly clock: Pick<Clock, "monotonic">;
}

export interface WatchedFile<T> {
  /** What the file holds, at most a second ago. Never throws. */
  current(): T;
}

const recheckMs = 1_000;
/** Certificates, passwords and users; a path to something else is a mistake. */
const fileBytesMax = 4 * 1024 * 1024;

/**
 * A small file whose contents follow its changes. It is looked at when it is used, because file events get lost where such files are
 * mounted (links that are swapped, network file systems). Throws when the file can't be read or parsed at first.
 */
export function watchedFile<T>(path: string, { parse, onError, clock }: WatchedFileOptions<T>): WatchedFile<T> {
  let seen = identity(path);
  let value = parse(readFileSync(path, "utf8"));
  let lookedAt = clock.monotonic();
  let reported: string | undefined;

  /** The state is taken before the text: a change in between is found by the next look. */
  function refresh(): void {
    const state = identity(path);
    if (state === seen) return;
    value = parse(readFileSync(path, "utf8"));
    seen = state;
  }

  return {
    current() {
      if (clock.monotonic() - lookedAt < recheckMs) return value;
      lookedAt = clock.monotonic();
      try {
        refresh();
        reported = undefined;
      } catch (error) {
        const failure = error instanceof Error ? error : new Error("unknown", { cause: error });
        if (failure.message !== reported) onError(failure, path);
        reported = failure.message;
      }
      return value;
    },
  };
}

function identity(path: string): string {
  const stats = statSync(path, { bigint: true });
  // A pipe would stop the process until somebody writes to it.
  if (!stats.isFile()) throw new Error("not a regular file");
  if (stats.size > fileBytesMax) throw new Error(`larger than ${fileBytesMax} bytes`);
  return `${stats.ino}:${stats.size}:${stats.mtimeNs}`;
}
