import { fullBounds, fullTimes } from "../fault/fault-load-bounds.ts";
import { openPeerRig } from "../fault/fault-load-peer.ts";
import { openFailoverRig, openRedisRig, redisFaults } from "../fault/fault-load-redis.ts";
import { type Fault, type FaultReport, type FaultRig, FaultRun, judge } from "../fault/fault-load-run.ts";
import { openS3Rig } from "../fault/fault-load-s3.ts";

type Stack = AsyncDisposableStack;
type Opened = FaultRig & { readonly fault: Fault };

async function redis(stack: Stack, name: string): Promise<Opened> {
  const rig = await openRedisRig(stack);
  return { ...rig, fault: named(redisFaults(rig.cluster, rig.redis), name) };
}

async function s3(stack: Stack, name: string): Promise<Opened> {
  const rig = await openS3Rig(stack);
  return { ...rig, fault: named(rig.faults, name) };
}

function named(faults: readonly Fault[], name: string): Fault {
  const found = faults.find((fault) => fault.name === name);
  if (!found) throw new Error(`no fault is called ${name}`);
  return found;
}

const openers: Readonly<Record<string, (stack: Stack, name: string) => Promise<Opened>>> = {
  "redis-killed": redis,
  "redis-hung": redis,
  "redis-wiped": redis,
  "redis-full": redis,
  "redis-failover": openFailoverRig,
  "s3-killed": s3,
  "s3-slow": s3,
  "s3-corrupting": s3,
  "peer-silent": openPeerRig,
};

/** Each fault for half a minute in a cluster of its own; all, or those that are named. Prints a table, and returns what was wrong. */
export async function runFaults(names: readonly string[]): Promise<string[]> {
  const chosen = names.length > 0 ? names : Object.keys(openers);
  const reports: FaultReport[] = [];
  for (const name of chosen) {
    reports.push(await runFault(name));
    console.log(rowOf(reports.at(-1)!));
  }
  console.log(`\n${[head, ...reports.map(rowOf)].join("\n")}\n`);
  return reports.flatMap((report) => {
    const { problems, doubts } = judge(report, fullBounds);
    return [...problems, ...doubts.map((doubt) => `${doubt} (on a machine too busy to tell: run it again)`)];
  });
}

async function runFault(name: string): Promise<FaultReport> {
  const open = openers[name];
  if (!open) throw new Error(`no fault is called ${name}: ${Object.keys(openers).join(", ")}`);
  await using stack = new AsyncDisposableStack();
  const rig = await open(stack, name);
  const run = await FaultRun.start(rig, fullTimes);
  stack.defer(() => run.stop());
  return await run.suffer(rig.fault);
}

const widths = [16, 20, 20, 12, 24, 6, 13, 7, 9] as const;
const cells = (...texts: readonly string[]): string =>
  texts.map((text, index) => text.padEnd(widths[index] ?? 0)).join("");
const head = cells(
  "fault",
  "healthy med/p99",
  "faulty med/p99",
  "ratio",
  "nginx itself",
  "hits",
  "cold (max)",
  "extra",
  "recovery",
);

function rowOf({ name, healthy, faulty, ...report }: FaultReport): string {
  const pace = ({ medianMs, p99Ms }: FaultReport["healthy"]): string => `${medianMs.toFixed(2)}/${p99Ms.toFixed(1)} ms`;
  const ratio = `${(faulty.medianMs / healthy.medianMs).toFixed(2)}/${(faulty.p99Ms / healthy.p99Ms).toFixed(2)}`;
  const itself = `${report.referenceHealthy.medianMs.toFixed(1)}/${report.referenceHealthy.p99Ms.toFixed(1)} ${report.reference.medianMs.toFixed(1)}/${report.reference.p99Ms.toFixed(1)}`;
  const cold = `${report.coldPulls} (${(report.slowestColdMs / 1_000).toFixed(1)} s)`;
  const recovery = `${Math.round(report.recoveryMs)} ms`;
  return cells(
    name,
    pace(healthy),
    pace(faulty),
    ratio,
    itself,
    `${faulty.hits}`,
    cold,
    `${report.extraGets}`,
    recovery,
  );
}
