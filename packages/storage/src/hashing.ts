import { Worker } from "node:worker_threads";

import type { DigestAlgorithm } from "@pullring/oci";

import type { HashReply, HashRequest } from "./hash-worker.ts";
import { limits } from "./limits.ts";
import type { SharedFile } from "./shared-file.ts";
import { makeSignal } from "./signal.ts";

/** Hashes of growing bodies, off the main thread. */
export interface Hashing {
  /** Follows the file from its first byte; without one it takes pushed bytes only. */
  start(algorithm: DigestAlgorithm, file?: SharedFile): HashJob;
  /** Jobs that still run fail. */
  close(): Promise<void>;
}

export interface HashJob {
  /** The file's bytes below `end` can be read. */
  follow(end: number): void;
  /** Bytes that come after those of the file; copied. A returned promise holds the writer back; it never rejects. */
  push(bytes: Uint8Array): Promise<void> | undefined;
  /**
   * Bytes before those that `follow` tells of, hashed where they are: they must stay what they are until the promise resolves, which it
   * does at the job's end too.
   */
  share(bytes: Uint8Array): Promise<void>;
  /** The digest of all bytes, in hex. Rejects with a code (EIO, …) when the file can't be read back, without when the thread died twice. */
  finish(): Promise<string>;
  /** Ends the job early; without effect after its end. */
  drop(): void;
}

export interface HashingOptions {
  readonly threadsMax?: number;
  readonly openThread?: () => Worker;
}

interface Thread {
  add(job: Job): void;
  remove(job: Job): void;
  post(request: HashRequest, transfer?: ArrayBuffer): void;
  load(): number;
}

/** Threads start with the first job that needs them, and keep the process alive only while they have one. */
export function makeHashing(options: HashingOptions = {}): Hashing {
  const { threadsMax = limits.hashThreadsMax } = options;
  const openThread = options.openThread ?? (() => new Worker(new URL("./hash-worker.ts", import.meta.url)));
  const threads = new Map<Thread, Worker>();
  let jobs = 0;
  let closed = false;

  function open(): Thread {
    const worker = openThread();
    const thread = makeThread(worker, () => threads.delete(thread));
    threads.set(thread, worker);
    return thread;
  }

  function choose(): Thread | undefined {
    if (closed) return undefined;
    const [idlest] = [...threads.keys()].sort((a, b) => a.load() - b.load());
    return idlest && (idlest.load() === 0 || threads.size >= threadsMax) ? idlest : open();
  }

  return {
    start: (algorithm, file) => new Job({ id: (jobs += 1), algorithm, file, choose }),
    async close() {
      closed = true;
      await Promise.all([...threads.values()].map((worker) => worker.terminate()));
    },
  };
}

function makeThread(worker: Worker, onExit: () => void): Thread {
  const jobs = new Map<number, Job>();
  let failure: Error | undefined;
  worker.unref();
  worker.on("message", (reply: HashReply) => jobs.get(reply.job)?.onReply(reply));
  worker.on("error", (error: Error) => (failure = error));
  worker.on("exit", (code) => {
    onExit();
    const error = failure ?? new Error(`the hash thread ended with code ${code}`);
    for (const job of jobs.values()) job.onThreadLost(error);
  });
  return {
    add(job) {
      if (jobs.size === 0) worker.ref();
      jobs.set(job.id, job);
    },
    remove(job) {
      jobs.delete(job.id);
      if (jobs.size === 0) worker.unref();
    },
    post: (request, transfer) => worker.postMessage(request, transfer ? [transfer] : []),
    load: () => jobs.size,
  };
}

interface JobOptions {
  readonly id: number;
  readonly algorithm: DigestAlgorithm;
  readonly file: SharedFile | undefined;
  readonly choose: () => Thread | undefined;
}

class Job implements HashJob {
  readonly id: number;
  readonly #options: JobOptions;
  readonly #result = Promise.withResolvers<string>();
  readonly #room = makeSignal();
  #thread: Thread | undefined;
  #state: "running" | "finishing" | "dropping" | "ended" = "running";
  #file: SharedFile | undefined;
  #end = 0;
  #told = 0;
  #restarts = 0;
  #hasPushed = false;
  #pushing = 0;
  /** Told when the thread has read what was shared, oldest first. */
  readonly #sharing: (() => void)[] = [];

  constructor(options: JobOptions) {
    this.id = options.id;
    this.#options = options;
    // Held until the thread has said its last word about it: the number must not become another file's under its reads.
    if (options.file?.hold()) this.#file = options.file;
    // Whoever finishes the job gets the error; that nobody may is no fault.
    this.#result.promise.catch(() => {});
    this.#begin();
  }

  follow(end: number): void {
    this.#end = end;
    if (end - this.#told >= limits.hashStepBytes) this.#tell();
  }

  push(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#state !== "running") return undefined;
    this.#tell();
    this.#hasPushed = true;
    this.#pushing += bytes.length;
    const copy = Uint8Array.from(bytes);
    this.#post({ job: this.id, kind: "push", bytes: copy }, copy.buffer);
    return this.#pushing > limits.hashPushedBytesMax ? this.#waitForRoom() : undefined;
  }

  share(bytes: Uint8Array): Promise<void> {
    if (this.#state !== "running") return Promise.resolve();
    this.#hasPushed = true;
    return new Promise((resolve) => {
      this.#sharing.push(resolve);
      this.#post({ job: this.id, kind: "share", bytes });
    });
  }

  finish(): Promise<string> {
    if (this.#state === "running") {
      this.#tell();
      this.#state = "finishing";
      this.#post({ job: this.id, kind: "finish" });
    }
    return this.#result.promise;
  }

  drop(): void {
    if (this.#state === "ended" || this.#state === "dropping") return;
    this.#state = "dropping";
    this.#result.reject(new Error("the hash was given up"));
    this.#post({ job: this.id, kind: "drop" });
  }

  onReply(reply: HashReply): void {
    if (reply.kind === "shared") {
      this.#sharing.shift()?.();
      return;
    }
    if (reply.kind === "pushed") {
      this.#pushing -= reply.length;
      this.#letFileGo();
      this.#room.fire();
      return;
    }
    if (reply.kind === "digest") this.#result.resolve(reply.hex);
    else if (reply.kind === "failed")
      this.#result.reject(Object.assign(new Error(reply.message), { code: reply.code }));
    this.#finishUp();
  }

  /** What is in the file can be read again; what was pushed is gone. */
  onThreadLost(error: Error): void {
    this.#thread = undefined;
    const restartable = !this.#hasPushed && this.#state !== "dropping" && this.#restarts === 0;
    this.#restarts += 1;
    this.#told = 0;
    if (!restartable) {
      this.#result.reject(error);
      this.#finishUp();
      return;
    }
    this.#begin();
    this.#tell();
    if (this.#state === "finishing") this.#post({ job: this.id, kind: "finish" });
  }

  #begin(): void {
    const { algorithm, choose } = this.#options;
    this.#thread = choose();
    this.#thread?.add(this);
    this.#post({ job: this.id, kind: "start", algorithm, fd: this.#file?.fd });
    if (this.#thread) return;
    this.#result.reject(new Error("hashing has stopped"));
    this.#finishUp();
  }

  #post(request: HashRequest, transfer?: ArrayBuffer): void {
    this.#thread?.post(request, transfer);
  }

  #tell(): void {
    if (this.#state === "ended" || this.#told === this.#end) return;
    this.#told = this.#end;
    this.#post({ job: this.id, kind: "grow", end: this.#end });
  }

  async #waitForRoom(): Promise<void> {
    while (this.#state !== "ended" && this.#pushing > limits.hashPushedBytesMax) await this.#room.next();
  }

  #letFileGo(): void {
    this.#file?.release();
    this.#file = undefined;
  }

  #finishUp(): void {
    this.#state = "ended";
    this.#thread?.remove(this);
    this.#thread = undefined;
    this.#letFileGo();
    this.#room.fire();
    for (const tell of this.#sharing.splice(0)) tell();
  }
}
