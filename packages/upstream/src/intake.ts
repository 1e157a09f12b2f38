import type { Pace } from "./pace.ts";

/** Takes the bytes of one body. */
export interface BodySink {
  /** A returned promise holds upstream back until it settles; a rejection ends the transfer with that error. */
  write(chunk: Uint8Array): void | Promise<void>;
}

export interface IntakeOptions {
  readonly sink: BodySink;
  readonly pace: Pace;
  readonly hold: () => void;
  readonly release: () => void;
  readonly onFail: (error: unknown) => void;
}

export interface Intake {
  take(chunk: Uint8Array): void;
  /** Calls back when everything taken so far has been written: at once, if nothing waits. */
  whenWritten(done: () => void): void;
  /** Nothing more reaches the sink. */
  stop(): void;
}

/** Hands chunks to a sink one after the other. When a connection ends, undici delivers what is left even to one that holds it back: chunks that are ours to keep. */
export function makeIntake(options: IntakeOptions): Intake {
  const { sink, pace, hold, release, onFail } = options;
  const queue: Uint8Array[] = [];
  let busy = false;
  let stopped = false;
  let onWritten: (() => void) | undefined;

  function write(chunk: Uint8Array): void | Promise<unknown> {
    const paced = pace(chunk.length);
    const written = sink.write(chunk);
    return paced && written ? Promise.all([paced, written]) : (paced ?? written);
  }

  async function drain(waiting: Promise<unknown>): Promise<void> {
    busy = true;
    hold();
    await waiting;
    for (let chunk = queue.shift(); chunk && !stopped; chunk = queue.shift()) await write(chunk);
    if (stopped) return;
    busy = false;
    onWritten?.();
    release();
  }

  return {
    take(chunk) {
      if (busy) {
        queue.push(chunk);
        return;
      }
      const waiting = write(chunk);
      if (waiting) drain(waiting).catch(onFail);
    },
    whenWritten(done) {
      if (busy) onWritten = done;
      else done();
    },
    stop() {
      stopped = true;
    },
  };
}
