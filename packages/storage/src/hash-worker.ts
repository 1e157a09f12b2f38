import { createHash, type Hash } from "node:crypto";
import { readSync } from "node:fs";
import { parentPort } from "node:worker_threads";

/**
 * Runs on a thread of its own. A job follows a growing file by its descriptor (descriptors are the process', not a thread's) and
 * reads it back from the page cache: nothing is copied between threads. Bytes that are in no file are sent here instead.
 */
export type HashRequest = { readonly job: number } & (
  | { readonly kind: "start"; readonly algorithm: string; readonly fd: number | undefined }
  /** The file's bytes below `end` can be read. */
  | { readonly kind: "grow"; readonly end: number }
  | { readonly kind: "push"; readonly bytes: Uint8Array }
  /** Bytes in shared memory, which stay what they are until the reply. The file, if there is one, has them too, or goes on behind them. */
  | { readonly kind: "share"; readonly bytes: Uint8Array }
  | { readonly kind: "finish" }
  | { readonly kind: "drop" }
);

/** The last reply of a job is `digest`, `failed` or `dropped`: from then on the thread leaves its file alone. */
export type HashReply = { readonly job: number } & (
  | { readonly kind: "pushed" | "shared"; readonly length: number }
  | { readonly kind: "digest"; readonly hex: string }
  | { readonly kind: "failed"; readonly message: string; readonly code: string }
  | { readonly kind: "dropped" }
);

interface Job {
  readonly hash: Hash;
  readonly fd: number | undefined;
  /** Bytes hashed so far. */
  position: number;
}

const jobs = new Map<number, Job>();
/** Small enough for a core's own cache: with 384 KiB and more a third of the throughput was lost. */
const buffer = Buffer.allocUnsafeSlow(128 * 1024);

function readTo(job: Job, end: number): void {
  while (job.fd !== undefined && job.position < end) {
    const length = readSync(job.fd, buffer, 0, Math.min(buffer.length, end - job.position), job.position);
    if (length === 0) throw new Error(`the file ends at ${job.position}, not at ${end}`);
    job.hash.update(buffer.subarray(0, length));
    job.position += length;
  }
}

function answer(request: HashRequest): HashReply | undefined {
  const { job: id, kind } = request;
  if (kind === "start") {
    jobs.set(id, { hash: createHash(request.algorithm), fd: request.fd, position: 0 });
    return undefined;
  }
  const job = jobs.get(id);
  if (!job) return undefined;
  if (kind === "grow") {
    readTo(job, request.end);
    return undefined;
  }
  if (kind === "push" || kind === "share") {
    const { length } = request.bytes;
    job.hash.update(request.bytes);
    job.position += length;
    return { job: id, kind: kind === "push" ? "pushed" : "shared", length };
  }
  jobs.delete(id);
  return kind === "drop" ? { job: id, kind: "dropped" } : { job: id, kind: "digest", hex: job.hash.digest("hex") };
}

const say = (reply: HashReply): void => parentPort?.postMessage(reply, []);

parentPort?.on("message", (request: HashRequest) => {
  try {
    const reply = answer(request);
    if (reply) say(reply);
  } catch (error) {
    jobs.delete(request.job);
    const { message, code = "EIO" } = error as NodeJS.ErrnoException;
    say({ job: request.job, kind: "failed", message, code });
  }
});
