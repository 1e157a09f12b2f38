import { setTimeout as sleep } from "node:timers/promises";

import { eventually } from "@pullring/testkit";

import type { Cluster } from "../real/cluster.ts";
import { type ColdPull, type Hit, type Load, type LoadOptions, startLoad } from "./fault-load.ts";

/** One thing that fails, in a cluster that was started for it. */
export interface Fault {
  readonly name: string;
  begin(): unknown;
  /** Whether nodes felt it; a fault that nobody noticed proves nothing. Asked until it is so, while the fault lasts. */
  isFelt(): Promise<boolean>;
  end(): unknown;
  /** For a fault that is over by itself, what is to be done at its end being only tidying up: resolves when it is. */
  over?(): Promise<unknown>;
  /** What was away is used again. `readyz` is looked at beside. Called right after the fault's end; what it returns is asked until true. */
  usedAgain(): Promise<() => Promise<boolean>>;
  /** Upstream GETs that it may cost each cold image beyond one of each part. */
  readonly extraGetsPerPull: number;
}

export interface FaultRig {
  readonly cluster: Cluster;
  readonly load: Omit<LoadOptions, "cluster" | "hitsPerSec" | "coldEveryMs">;
}

export interface RunTimes {
  readonly healthyMs: number;
  readonly faultMs: number;
  readonly hitsPerSec: number;
  readonly coldEveryMs: number;
}

export interface Pace {
  readonly hits: number;
  readonly medianMs: number;
  readonly p99Ms: number;
}

export interface FaultReport {
  readonly name: string;
  readonly healthy: Pace;
  readonly faulty: Pace;
  /** The balancer's own answers in either part. */
  readonly referenceHealthy: Pace;
  readonly reference: Pace;
  readonly coldPulls: number;
  readonly slowestColdMs: number;
  readonly extraGets: number;
  readonly recoveryMs: number;
  /** Hits and cold pulls that failed or were wrong, whenever that was. */
  readonly failures: readonly string[];
  /** More upstream GETs than the fault may cost. */
  readonly isDear: boolean;
  readonly wasFelt: boolean;
}

export interface Bounds {
  readonly medianTimes: number;
  readonly p99Times: number;
  /** Differences below these are this machine's. */
  readonly medianFloorMs: number;
  readonly p99FloorMs: number;
  readonly recoveryMs: number;
  /** From a cold pull's first request to its last byte through every entry, one retry of each part included. */
  readonly coldMs: number;
}

/** A fault lasts until it was felt, and something was pulled meanwhile. */
const feltMaxMs = 15_000;
/** A recovery that takes so long is given up. */
const recoveryMaxMs = 30_000;

interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

const within =
  ({ fromMs, toMs }: Window) =>
  ({ atMs }: { readonly atMs: number }): boolean =>
    atMs >= fromMs && atMs < toMs;

function paceOf(hits: readonly Hit[]): Pace {
  const times = hits.map(({ firstByteMs }) => firstByteMs).sort((a, b) => a - b);
  const at = (part: number): number =>
    times[Math.min(times.length - 1, Math.floor(times.length * part))] ?? Number.POSITIVE_INFINITY;
  return { hits: times.length, medianMs: at(0.5), p99Ms: at(0.99) };
}

/** The load of a rig, and its healthy part, which several faults in a row may be measured against. */
export class FaultRun {
  readonly #rig: FaultRig;
  readonly #times: RunTimes;
  readonly #load: Load;
  readonly #healthy: Window;

  private constructor(rig: FaultRig, times: RunTimes, { load, healthy }: { load: Load; healthy: Window }) {
    this.#rig = rig;
    this.#times = times;
    this.#load = load;
    this.#healthy = healthy;
  }

  /** Resolves at the end of the healthy part. */
  static async start(rig: FaultRig, times: RunTimes): Promise<FaultRun> {
    await eventually(() => isReady(rig.cluster), { timeoutMs: 15_000, intervalMs: 50 });
    const { hitsPerSec, coldEveryMs } = times;
    const load = await startLoad({ ...rig.load, cluster: rig.cluster, hitsPerSec, coldEveryMs });
    const fromMs = performance.now();
    await sleep(times.healthyMs);
    return new FaultRun(rig, times, { load, healthy: { fromMs, toMs: performance.now() } });
  }

  async suffer(fault: Fault): Promise<FaultReport> {
    const fromMs = performance.now();
    await fault.begin();
    const isOver = fault.over?.().then(() => this.#recovery(fault));
    const isPulled = (): boolean => this.#load.colds.some(({ atMs }) => atMs >= fromMs);
    const isSeen = async (): Promise<boolean> => (await fault.isFelt()) && isPulled();
    const seen = eventually(() => isSeen().catch(() => false), { timeoutMs: feltMaxMs, intervalMs: 100 });
    const [wasFelt] = await Promise.all([
      seen.then(
        () => true,
        () => false,
      ),
      sleep(this.#times.faultMs),
      isOver,
    ]);
    const toMs = performance.now();
    await fault.end();
    const recoveryMs = await (isOver ?? this.#recovery(fault));
    return this.#report(fault, { fromMs, toMs }, { wasFelt, recoveryMs });
  }

  stop(): Promise<void> {
    return this.#load.stop();
  }

  async #recovery(fault: Fault): Promise<number> {
    const endedMs = performance.now();
    const isUsed = await fault.usedAgain();
    const isWell = async (): Promise<boolean> => (await isReady(this.#rig.cluster)) && (await isUsed());
    await eventually(() => isWell().catch(() => false), { timeoutMs: recoveryMaxMs, intervalMs: 50 }).catch(() => {});
    return performance.now() - endedMs;
  }

  async #report(
    fault: Fault,
    window: Window,
    seen: { readonly wasFelt: boolean; readonly recoveryMs: number },
  ): Promise<FaultReport> {
    const whole = { fromMs: window.fromMs, toMs: performance.now() };
    const colds = this.#load.colds.filter(within(whole));
    const hits = this.#load.hits.filter(within(window));
    const extraGets = this.#load.extraGets(colds);
    const failed = [...this.#load.hits.filter(within(whole)), ...colds].flatMap(({ problem }) => problem ?? []);
    return {
      name: fault.name,
      healthy: paceOf(this.#load.hits.filter(within(this.#healthy))),
      faulty: paceOf(hits),
      referenceHealthy: paceOf(this.#load.references.filter(within(this.#healthy))),
      reference: paceOf(this.#load.references.filter(within(window))),
      coldPulls: colds.length,
      slowestColdMs: slowest(colds),
      extraGets,
      isDear: extraGets > colds.length * fault.extraGetsPerPull,
      failures: failed,
      ...seen,
    };
  }
}

const slowest = (colds: readonly ColdPull[]): number => colds.reduce((most, { tookMs }) => Math.max(most, tookMs), 0);

/** Whether every node says that it is well; one that can't be asked is not. */
async function isReady({ nodes }: Cluster): Promise<boolean> {
  const answers = await Promise.all(
    nodes.map(({ adminUrl }) => fetch(`${adminUrl}/readyz`, { signal: AbortSignal.timeout(1_000) })),
  );
  return (await Promise.all(answers.map((answer) => answer.text()))).every((text) => text === "ok\n");
}

/**
 * Whether the machine was so busy that deadlines of the nodes passed by themselves: an answer that costs nginx next to nothing took as long
 * as peers and Redis are given for theirs. Then costs beyond the bounds tell nothing, be they time or GETs that a node saves elsewhere.
 */
const isTooBusy = ({ reference, referenceHealthy }: FaultReport): boolean =>
  Math.max(reference.p99Ms, referenceHealthy.p99Ms) > busyMs;
const busyMs = 100;

export interface Verdict {
  readonly problems: readonly string[];
  /** What would be a problem on a machine that is not too busy. */
  readonly doubts: readonly string[];
}

/** What of a report is beyond the bounds, in words. Times are allowed what the balancer's own answers took longer. */
export function judge(report: FaultReport, bounds: Bounds): Verdict {
  const wrong = report.wasFelt ? [] : ["nobody felt it, or nothing could be pulled"];
  if (report.faulty.hits === 0) wrong.push("no hits");
  const costs = judgeCosts(report, bounds).filter((text) => text !== false);
  const isDoubtful = isTooBusy(report);
  const told = (text: string): string => `${report.name}: ${text}`;
  return {
    problems: [...wrong, ...report.failures.slice(0, 5), ...(isDoubtful ? [] : costs)].map(told),
    doubts: (isDoubtful ? costs : []).map(told),
  };
}

function judgeCosts(report: FaultReport, bounds: Bounds): (string | false)[] {
  const { healthy, faulty, reference, referenceHealthy } = report;
  const most = (time: "medianMs" | "p99Ms", times: number, floorMs: number): number => {
    const busierMs = Math.max(0, reference[time] - referenceHealthy[time]);
    return Math.max(healthy[time] * times, healthy[time] + floorMs) + busierMs;
  };
  const medianMax = most("medianMs", bounds.medianTimes, bounds.medianFloorMs);
  const p99Max = most("p99Ms", bounds.p99Times, bounds.p99FloorMs);
  return [
    faulty.medianMs > medianMax && `median of hits ${ms(faulty.medianMs)}, at most ${ms(medianMax)}`,
    faulty.p99Ms > p99Max && `p99 of hits ${ms(faulty.p99Ms)}, at most ${ms(p99Max)}`,
    report.isDear && `${report.extraGets} extra GETs`,
    report.recoveryMs > bounds.recoveryMs && `recovered after ${ms(report.recoveryMs)}`,
    report.slowestColdMs > bounds.coldMs && `a cold pull took ${ms(report.slowestColdMs)}`,
  ];
}

const ms = (value: number): string => `${value.toFixed(1)} ms`;
