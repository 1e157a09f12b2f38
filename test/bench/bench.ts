import { mkdir, mkdtempDisposable } from "node:fs/promises";
import { join } from "node:path";

import type { Content } from "./content.ts";
import { type Contestant, type Name, startContestant, startOrigin } from "./contestants.ts";

/** What every section of the bench is given. */
export interface Bench {
  readonly dir: string;
  readonly content: Content;
  /** Turns of each contestant for each figure. */
  readonly rounds: number;
  /** How long one turn lasts where it is not the work that decides. */
  readonly runMs: number;
}

export interface Entry<N extends Name> {
  readonly names: readonly N[];
  /** Of the upstream, for each connection; absent = as fast as it can. */
  readonly upstreamBytesPerSec?: number;
}

export type Contestants<N extends Name> = Readonly<Record<N, Contestant>>;

/** Starts the contestants with empty caches, and an upstream; takes all of it down again, files included. */
export async function withContestants<N extends Name, T>(
  bench: Bench,
  { names, upstreamBytesPerSec }: Entry<N>,
  run: (contestants: Contestants<N>) => Promise<T>,
): Promise<T> {
  await using dir = await mkdtempDisposable(join(bench.dir, "run-"));
  await using running = new AsyncDisposableStack();
  const folder = async (name: string): Promise<string> => {
    const path = join(dir.path, name.replace(" ", "-"));
    await mkdir(path);
    return path;
  };
  const pace = upstreamBytesPerSec === undefined ? {} : { bytesPerSec: upstreamBytesPerSec };
  const origin = running.use(await startOrigin({ dir: await folder("origin"), content: bench.content, ...pace }));
  const started: [N, Contestant][] = [];
  for (const name of names) {
    started.push([name, running.use(await startContestant(name, { dir: await folder(name), origin }))]);
  }
  return await run(Object.fromEntries(started) as Contestants<N>);
}
