import { write as writeToFile, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const write = promisify(writeToFile);

export interface LineWriterOptions {
  readonly fd: number;
  /** Called when lines can be written again after some were lost. */
  readonly onLost?: (lines: number) => void;
  /** Lines leave in batches of this many characters, or after `batchMs`. */
  readonly batchChars?: number;
  readonly batchMs?: number;
  /** What a reader who stopped reading, or a full disk, can hold up; later lines are lost, not the process. */
  readonly pendingCharsMax?: number;
  /** Until a write that failed is tried again; and how long a flush waits for whoever does not take its lines. */
  readonly retryMs?: number;
}

export interface LineWriter {
  write(line: string): void;
  /** Calls back when all lines so far are written, or can't be now. */
  flush(callback: () => void): void;
  /** Writes what is left without waiting for anybody: for a process that exits. */
  exit(): void;
}

/**
 * Writes lines off the main thread. pino's own destination is not used because at exit it repeats a failing write forever, so that a
 * process whose disk is full can't end.
 */
export function makeLineWriter(options: LineWriterOptions): LineWriter {
  const { batchChars = 4096, batchMs = 200, fd, onLost, pendingCharsMax = 8 * 1024 * 1024, retryMs = 500 } = options;
  let pending = "";
  let lost = 0;
  let gone = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;

  async function run(): Promise<void> {
    do {
      const bytes = Buffer.from(pending);
      pending = "";
      gone = !(await writeAll(fd, bytes, retryMs));
      if (lost > 0 && !gone) onLost?.(lost);
      lost = 0;
    } while (pending.length >= batchChars && !gone);
    running = undefined;
    if (pending !== "") later();
  }

  function start(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    running ??= run();
    return running;
  }

  function later(): void {
    timer ??= setTimeout(() => void start(), batchMs).unref();
  }

  async function flush(): Promise<void> {
    await running;
    if (pending !== "" && !gone) await start();
  }

  return {
    write(line) {
      if (gone) return;
      if (pending.length + line.length > pendingCharsMax) {
        lost += 1;
        return;
      }
      pending += line;
      if (running) return;
      if (pending.length < batchChars) later();
      else void start();
    },
    flush(callback) {
      // A timer that is left would keep a process that has ended everything else.
      const written = new AbortController();
      const patience = sleep(2 * retryMs, undefined, { signal: written.signal }).catch(() => {});
      void Promise.race([flush(), patience]).then(() => {
        written.abort();
        callback();
      });
    },
    exit() {
      if (!gone) writeWhatGoes(fd, Buffer.from(pending));
      pending = "";
    },
  };
}

/** False when nobody reads any more. Everything else may pass: a full disk, a pipe that takes nothing now. */
async function writeAll(fd: number, bytes: Buffer, retryMs: number): Promise<boolean> {
  for (let rest = bytes; rest.length > 0;) {
    try {
      const { bytesWritten } = await write(fd, rest);
      rest = rest.subarray(bytesWritten);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "EPIPE" || code === "EBADF") return false;
      await sleep(retryMs, undefined, { ref: false });
    }
  }
  return true;
}

function writeWhatGoes(fd: number, bytes: Buffer): void {
  try {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(writeSync(fd, rest));
  } catch {
    // A full disk, or a reader who left or stands still: there is nobody to tell.
  }
}
