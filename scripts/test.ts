// What `npm test` runs: the packages' tests, then those that start real programs, at last those of them that measure times; then one
// summary.
// Arguments choose files by a part of their path: `npm test -- core/src/tags e2e`; `--name PATTERN` chooses tests by name.
import { globSync, mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, relative } from "node:path";
import { run } from "node:test";
import type { TestEvent } from "node:test/reporters";
import { fileURLToPath, pathToFileURL } from "node:url";
import { inspect, parseArgs } from "node:util";

import { compileCache } from "../test/real/compile-cache.ts";
import { needsS3, sharedS3, startS3 } from "../test/real/s3.ts";

interface Phase {
  readonly name: string;
  readonly files: readonly string[];
  readonly concurrency: number;
  /** A file that never ends (a handle left open) fails the run when this is over. */
  readonly phaseTimeoutMs: number;
}

interface Tally {
  passed: number;
  failed: number;
  skipped: number;
  filesFailed: number;
}

/** Files that need an S3 server and not one of their own: a Ceph takes 18 s to start. */
const sharing = /\/(?:admin-purge|s3-nodes)\.test\.ts$/;

/** For one test that sets none of its own. */
const testTimeoutMs = 60_000;

const root = fileURLToPath(new URL("..", import.meta.url));
/** Where there is one file for all tests of a folder. */
const folders = `${root}node_modules/.cache/units/`;
const folderEnding = ".test.mjs";
const { values, positionals } = parseArgs({ allowPositionals: true, options: { name: { type: "string" } } });

/** Longer runs that are not for every change; they have commands of their own. */
const apart = /^test\/(?:bench|soak)\//;
/** Tests that start whole programs. */
const whole = /^test\/(?!tidy\/)/;
/** Those among them that look whether anything waits for what failed, by bounds that bear some other work on the same cores: only each other's. */
const faults = /^test\/fault\/.*-load\./;
/** Those that measure how long something takes, or load the machine: nothing runs beside them. */
const alone = /^test\/promises\/(?:nodes|nodes-crowd|one-fetch|redis-budgets-faults|redis-faults|upstream-gone)\./;

function filesOf(pattern: string): string[] {
  const chosen = (file: string): boolean =>
    !apart.test(file) && (positionals.length === 0 || positionals.some((part) => file.includes(part)));
  return globSync(pattern, { cwd: root }).filter(chosen).sort();
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
const nameOf = (file = "?"): string =>
  file.startsWith(folders) ? file.slice(folders.length, -folderEnding.length) : relative(root, file);

type EventData<T extends TestEvent["type"]> = Extract<TestEvent, { type: T }>["data"];

/** A test counts once; a suite only when it was skipped as a whole, a file only when it failed beside its tests. */
const isCounted = (data: EventData<"test:pass"> | EventData<"test:fail">): boolean =>
  data.details.type !== "suite" || data.skip !== undefined;

function reportFailure(data: EventData<"test:fail">): void {
  // The runner's own error wraps what the test threw, and a suite's says only that a test in it failed.
  const error: Error & { failureType?: string } = data.details.error;
  if (error.failureType === "subtestsFailed") return;
  say(`✗ ${nameOf(data.file)}:${data.line ?? 0}  ${data.name}`);
  say(inspect(error.cause ?? error).replace(/^/gm, "    "));
}

function reportFile(tally: Tally, data: EventData<"test:summary">): void {
  if (data.file === undefined) return;
  const { passed, skipped, tests } = data.counts;
  const mark = data.success ? "✓" : "✗";
  const rest = skipped > 0 ? `, ${skipped} skipped` : "";
  say(`${mark} ${nameOf(data.file)}  ${passed} of ${tests}${rest}, ${seconds(data.duration_ms)}`);
  if (!data.success) tally.filesFailed++;
}

function report(tally: Tally, event: TestEvent): void {
  if (event.type === "test:stderr" || event.type === "test:stdout") {
    process.stdout.write(event.data.message);
  } else if (event.type === "test:diagnostic") {
    // What went wrong outside any test, such as an error thrown after its test had ended.
    if (/^(?:Error|Warning):/.test(event.data.message)) say(`! ${nameOf(event.data.file)}  ${event.data.message}`);
  } else if (event.type === "test:summary") {
    reportFile(tally, event.data);
  } else if (event.type === "test:pass" && isCounted(event.data)) {
    if (event.data.skip === undefined) tally.passed++;
    else {
      tally.skipped++;
      say(`- ${nameOf(event.data.file)}  ${event.data.name}: ${event.data.skip}`);
    }
  } else if (event.type === "test:fail") {
    if (isCounted(event.data)) tally.failed++;
    reportFailure(event.data);
  }
}

/** One file for each folder that imports the others: half of what a short file takes is the process that it starts in. */
function together(all: readonly string[]): string[] {
  return Object.entries(Object.groupBy(all, (file) => dirname(file))).map(([name, own = []]) => {
    const file = `${folders}${name}${folderEnding}`;
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(
      file,
      own.map((each) => `import ${JSON.stringify(pathToFileURL(`${root}${each}`).href)};\n`).join(""),
    );
    return relative(root, file);
  });
}

async function runPhase(phase: Phase, tally: Tally): Promise<void> {
  if (phase.files.length === 0) return;
  say(`${phase.name}: ${phase.files.length} files, ${phase.concurrency} at a time`);
  const beganAt = performance.now();
  const events = run({
    cwd: root,
    files: phase.files.map((file) => `${root}${file}`),
    concurrency: phase.concurrency,
    timeout: testTimeoutMs,
    signal: AbortSignal.timeout(phase.phaseTimeoutMs),
    ...(values.name === undefined ? {} : { testNamePatterns: values.name }),
  });
  for await (const event of events as AsyncIterable<TestEvent>) report(tally, event);
  say(`${phase.name}: ${seconds(performance.now() - beganAt)}`);
}

// Each file, or folder, is a process of its own.
process.env["NODE_COMPILE_CACHE"] ??= compileCache;

const startedAt = performance.now();
const tally: Tally = { passed: 0, failed: 0, skipped: 0, filesFailed: 0 };
const files = [...filesOf("packages/*/src/**/*.test.ts"), ...filesOf("test/**/*.test.ts")];
const unit = files.filter((file) => !whole.test(file));
const real = files.filter((file) => whole.test(file) && !faults.test(file) && !alone.test(file));
const needsShared = real.filter((file) => sharing.test(file)).length > 1 && needsS3() === false;
// It comes up while the units run; without it each file starts its own.
const starting = needsShared ? startS3().catch(() => undefined) : Promise.resolve(undefined);
const concurrency = Math.max(2, availableParallelism());
// Files that somebody chose are told apart.
const units = positionals.length === 0 ? together(unit) : unit;
await runPhase({ name: "units", files: units, concurrency: concurrency + 1, phaseTimeoutMs: 300_000 }, tally);
const s3 = await starting;
if (s3) {
  const { endpoint, accessKeyId, secretAccessKey } = s3;
  process.env[sharedS3] = JSON.stringify({ endpoint, accessKeyId, secretAccessKey });
}
await runPhase({ name: "whole programs", files: real, concurrency, phaseTimeoutMs: 1_200_000 }, tally);
await s3?.stop();
const failing = files.filter((file) => faults.test(file));
await runPhase({ name: "faults under load", files: failing, concurrency: 2, phaseTimeoutMs: 300_000 }, tally);
const measuring = files.filter((file) => alone.test(file));
await runPhase({ name: "measured", files: measuring, concurrency: 1, phaseTimeoutMs: 900_000 }, tally);

if (files.length === 0) say(`no test file matches ${positionals.join(" ")}`);
say(
  `\n${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped in ${seconds(performance.now() - startedAt)}`,
);
process.exitCode = tally.failed + tally.filesFailed > 0 || tally.passed === 0 ? 1 : 0;
