import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";

import { findTool } from "./needs.ts";

export interface ProgramOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where both of its outputs go; a file costs the measured process less than a pipe that somebody must read. */
  readonly logFile: string;
  /** What it gets when this process dies without stopping it; default SIGKILL. */
  readonly orphanSignal?: "KILL" | "TERM";
}

export interface Program extends AsyncDisposable {
  readonly pid: number;
  readonly isRunning: boolean;
  logs(): string;
  kill(signal: NodeJS.Signals): void;
  /** Settles when it has ended, whoever ended it. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  /** SIGTERM, then SIGKILL for one that does not go. */
  stop(): Promise<void>;
}

const stopTimeoutMs = 10_000;

/** Starts one program that ends with this process at the latest: setpriv asks the kernel for that (prctl(2), PR_SET_PDEATHSIG). */
export function startProgram(options: ProgramOptions): Program {
  const { command, args, env, logFile, orphanSignal = "KILL" } = options;
  const log = openSync(logFile, "a");
  const bound = findTool("setpriv") === undefined ? [] : ["setpriv", "--pdeathsig", orphanSignal, "--"];
  const [first = command, ...rest] = [...bound, findTool(command) ?? command, ...args];
  const child = spawn(first, rest, { stdio: ["ignore", log, log], env: { ...process.env, ...env } });
  closeSync(log);
  const ended = once(child, "exit").then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as string | null,
  }));
  // A program that can't be started at all rejects for whoever waits; nobody has to.
  ended.catch(() => {});

  async function stop(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    child.kill("SIGTERM");
    const last = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
    await ended.finally(() => clearTimeout(last));
  }

  return {
    pid: child.pid ?? 0,
    get isRunning() {
      return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
    },
    logs: () => readFileSync(logFile, "utf8"),
    kill: (signal) => void child.kill(signal),
    ended,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
