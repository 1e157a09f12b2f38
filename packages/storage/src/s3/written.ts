import { makeRecent, repositoryKey, type Clock, type Repository } from "@pullring/core";

import { limits } from "./limits.ts";

/** What of our records lies in the bucket, without its age, as far as this node wrote it. */
export interface Written {
  has(path: string, repository: Repository, facts: string): boolean;
  put(path: string, facts: string): void;
  delete(path: string): void;
  /** By its key: nothing that was written of it before counts. */
  forget(repository: string): void;
}

export function makeWritten(clock: Clock): Written {
  const bounds = { ttlMs: limits.tagRewriteMs, entriesMax: limits.writtenRememberedMax };
  const written = makeRecent<{ readonly facts: string; readonly atMs: number }>(clock, bounds);
  const forgottenAtMs = makeRecent<number>(clock, bounds);
  return {
    has(path, repository, facts) {
      const found = written.get(path);
      return found?.facts === facts && found.atMs > (forgottenAtMs.get(repositoryKey(repository)) ?? -Infinity);
    },
    put: (path, facts) => written.set(path, { facts, atMs: clock.monotonic() }),
    delete: (path) => written.delete(path),
    forget: (repository) => forgottenAtMs.set(repository, clock.monotonic()),
  };
}
