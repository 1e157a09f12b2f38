import { setTimeout as sleep } from "node:timers/promises";

import type { Contestant, Name } from "./contestants.ts";
import { type Load, type Measured, runLoad } from "./run-load.ts";

/** What one run of the load cost the server that bore it. */
export interface Sample extends Measured {
  readonly cpuSec: number;
}

export async function sample(contestant: Contestant, load: Omit<Load, "port">): Promise<Sample> {
  const before = contestant.cpuSec();
  const measured = await runLoad({ port: contestant.port, ...load });
  return { ...measured, cpuSec: contestant.cpuSec() - before };
}

const quietMs = 500;

/** The same, with what the server goes on doing when the client has its bytes: some store them only then. */
export async function sampleToTheEnd(contestant: Contestant, load: Omit<Load, "port">): Promise<Sample> {
  const before = contestant.cpuSec();
  const measured = await runLoad({ port: contestant.port, ...load });
  let last = Number.NaN;
  for (let now = contestant.cpuSec(); now !== last; now = contestant.cpuSec()) {
    last = now;
    await sleep(quietMs);
  }
  return { ...measured, cpuSec: last - before };
}

/** Each contestant's figures, one list per name. */
export type Figures<N extends Name, T> = Readonly<Record<N, readonly T[]>>;

/** Load before anything is measured: code that has run for a while is what serves later. */
export async function warmUp(
  contestants: Readonly<Record<string, Contestant>>,
  load: Omit<Load, "port">,
): Promise<void> {
  for (const { port } of Object.values(contestants)) await runLoad({ port, ...load });
}

/** Rounds in which every contestant has its turn, each round in another order, so that a slow minute hits all of them alike. */
export async function alternate<N extends Name, T>(
  names: readonly N[],
  options: { rounds: number; measure: (name: N, round: number) => Promise<T> },
): Promise<Figures<N, T>> {
  const figures = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<N, T[]>;
  for (let round = 0; round < options.rounds; round++) {
    const turn = round % names.length;
    for (const name of [...names.slice(turn), ...names.slice(0, turn)])
      figures[name].push(await options.measure(name, round));
  }
  return figures;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [below = Number.NaN, above = Number.NaN] = [sorted[(sorted.length - 1) >> 1], sorted[middle]];
  return (below + above) / 2;
}

/** The value below which `share` of the ascending values lie. */
export const quantile = (ascending: readonly number[], share: number): number =>
  ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * share))] ?? Number.NaN;

export const medianOf = <T>(figures: readonly T[], read: (figure: T) => number): number => median(figures.map(read));
