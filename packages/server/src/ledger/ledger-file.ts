import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";

import type { Clock } from "@pullring/core";

import { makeLineWriter } from "../observe/line-writer.ts";
import { limits } from "./limits.ts";
import type { Line, StartLine } from "./lines.ts";

export interface LedgerFile {
  write(line: Line): void;
  /** The last line says that the node ended by itself; resolves when all of them are in the file, or can't be. */
  close(): Promise<void>;
}

export interface LedgerFileOptions {
  readonly dir: string;
  readonly clock: Clock;
  readonly start: StartLine;
}

/**
 * A file of this start alone, so that nothing is ever written behind a torn line. Lines leave in batches; what is lost by SIGKILL is
 * the last moment, and by a full disk is counted. Throws when the file can't be made.
 */
export function openLedgerFile({ dir, clock, start }: LedgerFileOptions): LedgerFile {
  mkdirSync(dir, { recursive: true, mode: 0o750 });
  const time = new Date(clock.now()).toISOString().replaceAll(/[-:.]/g, "");
  const fd = openSync(join(dir, `${start.node}-${time}-${process.pid}.ndjson`), "ax", 0o640);
  const textOf = (line: Line): string => `${JSON.stringify({ at: Math.trunc(clock.now()), ...line })}\n`;
  writeSync(fd, textOf(start));
  const { batchMs, batchChars, pendingCharsMax } = limits;
  const onLost = (lines: number): void => write({ kind: "lost", lines });
  const writer = makeLineWriter({ fd, onLost, batchMs, batchChars, pendingCharsMax });
  let isClosed = false;
  const onExit = (): void => writer.exit();
  process.once("exit", onExit);
  let writtenMs = clock.monotonic();
  // So that a reader knows until when a killed node was alive. A start that fails is not to be kept from its end by it.
  const beat = setInterval(() => {
    if (clock.monotonic() - writtenMs >= limits.beatMs) write({ kind: "beat" });
  }, limits.beatMs).unref();

  function write(line: Line): void {
    // The descriptor may be another file's by then.
    if (isClosed) return;
    writtenMs = clock.monotonic();
    writer.write(textOf(line));
  }

  return {
    write,
    async close() {
      if (isClosed) return;
      write({ kind: "stop" });
      isClosed = true;
      clearInterval(beat);
      process.off("exit", onExit);
      await new Promise<void>((resolve) => writer.flush(resolve));
      closeSync(fd);
    },
  };
}
