import type { Digest } from "@pullring/oci";

import { fetchRange } from "./direct-range.ts";
import { hasCode, PullringError } from "./errors.ts";
import { limits } from "./limits.ts";
import type { Access, BlobHead, BlobSource, Body, Clock, Repository, Segment, Spool } from "./ports.ts";
import { transfer } from "./transfer.ts";
import { makeWakeups, type Wakeups } from "./wakeups.ts";

export interface FillOptions {
  readonly digest: Digest;
  /** The repository it is fetched under: that of whoever asked first. */
  readonly repository: Repository;
  /** Size by the manifest that names the blob, if one was seen. */
  readonly sizeExpected?: number;
  readonly source: BlobSource;
  readonly clock: Clock;
  /** Opens the spool, or hands over one that an earlier fill left; called once. */
  readonly openSpool: (onGrow: () => void) => Promise<Spool>;
}

export type FillEnd =
  | { readonly state: "done"; readonly kept: boolean; readonly bytes: number }
  /** Nobody wants it any more, or it broke: the spool may serve the next fill. */
  | {
      readonly state: "stopped" | "failed";
      readonly error: Error;
      readonly spool: Spool | undefined;
      readonly bytes: number;
    };

/**
 * One transfer of one blob from upstream into a spool. It belongs to no request: the client that began it is a reader
 * like the others, and may leave.
 */
export class Fill {
  readonly digest: Digest;
  readonly repository: Repository;
  /** Resolves with upstream's head: from then on it is known whose bytes these are. Rejects as the fill does. */
  readonly access: Promise<Access>;

  readonly #options: FillOptions;
  readonly #wakeups: Wakeups;
  readonly #headed = Promise.withResolvers<BlobHead>();
  readonly #abort = new AbortController();
  readonly #direct: ReturnType<typeof fetchRange>;
  #spool: Spool | undefined;
  #head: BlobHead | undefined;
  #verified = false;
  #failure: Error | undefined;
  #readers = 0;
  #patience: AbortController | undefined;
  #began = { atMs: 0, bytes: 0 };

  constructor(options: FillOptions) {
    this.digest = options.digest;
    this.repository = options.repository;
    this.#options = options;
    this.#wakeups = makeWakeups(options.clock);
    this.#direct = fetchRange(options);
    this.access = this.#headed.promise.then(({ lane }) => lane.access);
    // Whoever waits gets the error; that nobody may be waiting is no fault.
    this.access.catch(() => {});
  }

  /** Runs the fill to its end. Never rejects; called once. */
  async run(): Promise<FillEnd> {
    try {
      const spool = await this.#options.openSpool(() => this.#wakeups.grown(this.#end));
      this.#spool = spool;
      const access = await this.#fetch(spool);
      return { state: "done", bytes: spool.end, kept: await spool.settle({ keep: access }) };
    } catch (error) {
      return await this.#fail(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.#patience?.abort();
    }
  }

  /**
   * A reader from byte 0. Resolves when headers can be promised: the size is known and, for bodies up to 256 KiB, the digest
   * verified. Rejects with the fill's error, or with `cut` when the first bytes are gone (no disk).
   */
  async open(): Promise<Body> {
    this.#enter();
    try {
      await this.#headed.promise;
      while (this.#mustVerifyFirst()) await this.#wakeups.next();
      if (this.#failure) throw this.#failure;
      if (!this.#spool || !this.joinable()) throw new PullringError("cut", "the first bytes of this fill are gone");
      return this.#makeReader(this.#spool);
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  /** False once the first bytes are gone (no disk): whoever comes now needs a fill of his own. */
  joinable(): boolean {
    return this.#spool === undefined || this.#spool.start === 0;
  }

  /** Ends the fill early; it then counts as stopped. */
  stop(why = "this node is stopping"): void {
    this.#abort.abort(new PullringError("unavailable", why));
  }

  progress(): { readonly bytes: number; readonly size: number | undefined; readonly readers: number } {
    return { bytes: this.#end, size: this.#size, readers: this.#readers };
  }

  get #end(): number {
    return this.#spool?.end ?? 0;
  }

  get #size(): number | undefined {
    if (this.#verified) return this.#end;
    return this.#head && (this.#head.size ?? this.#options.sizeExpected);
  }

  /** How far readers may read: the tail stays back until the digest matches, and a small body is all tail. */
  get #readable(): number {
    if (this.#verified) return this.#end;
    const size = this.#size ?? 0;
    return size <= limits.verifyFirstBytesMax ? 0 : Math.min(this.#end, size - limits.tailBytes);
  }

  #mustVerifyFirst(): boolean {
    return !this.#verified && !this.#failure && (this.#size ?? 0) <= limits.verifyFirstBytesMax;
  }

  async #fetch(spool: Spool): Promise<Access> {
    const { source, clock, repository, digest, sizeExpected } = this.#options;
    const received = await transfer({
      source,
      sizeExpected,
      clock,
      repository,
      digest,
      received: spool.end,
      signal: this.#abort.signal,
      onHead: (head) => this.#onHead(head),
      onChunk: (chunk) => spool.append(chunk),
    });
    const found = await spool.finish();
    if (found !== digest) throw new PullringError("corrupt", `${received} bytes hash to ${found}`);
    this.#verified = true;
    this.#wakeups.wake();
    return this.access;
  }

  #onHead(head: BlobHead): void {
    const expected = this.#options.sizeExpected;
    if (expected !== undefined && head.size !== undefined && head.size !== expected)
      throw new PullringError("corrupt", `upstream says ${head.size} bytes, the manifest ${expected}`);
    this.#head = head;
    this.#began = { atMs: this.#options.clock.monotonic(), bytes: this.#end };
    this.#headed.resolve(head);
    this.#wakeups.wake();
  }

  async #fail(error: Error): Promise<FillEnd> {
    this.#failure = error;
    this.#headed.reject(error);
    this.#wakeups.wake();
    const reusable = this.joinable() && !hasCode(error, "corrupt") ? this.#spool : undefined;
    if (!reusable) await this.#spool?.settle("drop");
    return { state: this.#abort.signal.aborted ? "stopped" : "failed", error, spool: reusable, bytes: this.#end };
  }

  #enter(): void {
    this.#readers += 1;
    this.#patience?.abort();
  }

  #leave(): void {
    this.#readers -= 1;
    if (this.#readers > 0 || this.#failure || this.#worthFinishing()) return;
    const patience = new AbortController();
    this.#patience = patience;
    this.#options.clock.sleep(limits.fillIdleMs, patience.signal).then(
      () => (this.#worthFinishing() ? undefined : this.stop("nobody reads this fill any more")),
      () => {},
    );
  }

  /** Without readers a fill goes on when stopping would save little or cost the whole transfer again. */
  #worthFinishing(): boolean {
    if (this.#verified || this.#head?.resumable === false) return true;
    const size = this.#size;
    if (size === undefined) return false;
    return this.#end * 2 > size || size - this.#end < limits.fillRestBytesMax;
  }

  /** Whether the fill, at its rate so far, would take too long to reach the offset. */
  #isFar(offset: number): boolean {
    const elapsedMs = this.#options.clock.monotonic() - this.#began.atMs;
    if (!this.#head || elapsedMs < limits.rateSampleMs) return false;
    const bytesPerMs = (this.#end - this.#began.bytes) / elapsedMs;
    return offset - this.#end > bytesPerMs * limits.rangeWaitMs;
  }

  async #wait(offset: number, end: number): Promise<void | Uint8Array> {
    while (offset >= this.#readable) {
      if (this.#failure) throw this.#failure;
      // Bytes of a direct range are not verified, so they never carry a response to the blob's last byte.
      const direct = this.#isFar(offset) && end < (this.#size ?? 0) ? await this.#direct(offset, end) : undefined;
      if (direct) return direct;
      if (offset >= this.#readable && !this.#failure) await this.#wakeups.next();
    }
    return undefined;
  }

  #makeReader(spool: Spool): Body {
    const reader = spool.reader(0);
    let open = true;
    const segment = (offset: number, end: number): Segment =>
      reader.segment(offset, Math.min(end, this.#readable) - offset);
    return {
      size: this.#size ?? spool.end,
      next: (offset, end) => {
        if (offset < this.#readable) return segment(offset, end);
        reader.skip(offset);
        return this.#wait(offset, end).then((direct) => (direct ? { bytes: direct } : segment(offset, end)));
      },
      close: () => {
        if (!open) return;
        open = false;
        reader.close();
        this.#leave();
      },
    };
  }
}
