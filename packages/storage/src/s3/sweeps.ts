import { limits } from "./limits.ts";
import { asS3Error } from "./s3-error.ts";
import { abortAbandoned, expire, removeCanaries, type SweepOptions, type Usage } from "./sweep.ts";
import type { S3Tombstones } from "./tombstones.ts";

/** Runs the work on one node of the cluster, or not at all when another one does. */
export type Exclusively = (name: string, run: () => Promise<void>) => Promise<void>;

export interface SweepsOptions extends SweepOptions {
  readonly tombstones: S3Tombstones;
  readonly exclusively: Exclusively;
  readonly random: () => number;
}

/** The house-keeping of the bucket: once an hour what is left over, once a day what has expired. */
export class Sweeps {
  readonly #options: SweepsOptions;
  #usage: Usage | undefined;

  constructor(options: SweepsOptions) {
    this.#options = options;
  }

  /** Blobs in the bucket, when this node was the last to count them. */
  get usage(): Usage | undefined {
    return this.#usage;
  }

  /** Both rounds, now. */
  async run(): Promise<void> {
    await this.#tidy();
    await this.#expire();
  }

  /** Round after round, as long as the signal lasts; nodes that started together do not list together. */
  async follow(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    let expiredAt = -Infinity;
    for (;;) {
      await clock.sleep(limits.sweepEveryMs * (0.5 + random() / 2), signal);
      await this.#logged("s3-tidy", () => this.#tidy(), signal);
      if (clock.now() - expiredAt < limits.expireEveryMs) continue;
      expiredAt = clock.now();
      await this.#logged("s3-expire", () => this.#expire(), signal);
    }
  }

  async #logged(name: string, run: () => Promise<void>, signal: AbortSignal): Promise<void> {
    await run().catch((error: unknown) => {
      signal.throwIfAborted();
      this.#options.log.warn({ sweep: name, err: asS3Error(error) }, "a sweep of S3 broke off");
    });
  }

  async #tidy(): Promise<void> {
    const { exclusively, tombstones, used, log } = this.#options;
    // Every node has notes of its own.
    await used.flush();
    await exclusively("s3-tidy", async () => {
      const aborted = await abortAbandoned(this.#options);
      if (aborted > 0) log.info({ aborted }, "abandoned uploads in parts were aborted");
      await removeCanaries(this.#options);
      await tombstones.removeOld();
    });
  }

  async #expire(): Promise<void> {
    const { exclusively, log } = this.#options;
    await exclusively("s3-expire", async () => {
      const { removed, usage } = await expire(this.#options);
      this.#usage = usage;
      log.info({ removed, ...usage }, "the blobs in S3 were counted");
    });
  }
}
