import type { Digest } from "@pullring/oci";

import type { Holding } from "./cluster-ports.ts";
import { fetchRange } from "./direct-range.ts";
import { hasCode, PullringError } from "./errors.ts";
import type { FillSource } from "./fill-source.ts";
import { readableOf, type HeldSpool } from "./left-spools.ts";
import { limits } from "./limits.ts";
import { nameOf, type Place } from "./places.ts";
import type { Access, BlobHead, Body, Clock, Repository, Segment, Spool } from "./ports.ts";
import { transfer } from "./transfer.ts";
import { makeWakeups, type Wakeups } from "./wakeups.ts";

export interface FillOptions {
  readonly digest: Digest;
  /** The repository it is fetched under: that of whoever asked first. */
  readonly repository: Repository;
  /** Size by the manifest that names the blob, if one was seen. */
  readonly sizeExpected?: number;
  readonly clock: Clock;
  /** `onAsk` is told when a place begins to be asked, and of undefined while there is none. */
  readonly openSource: (onAsk: (place: Place | undefined) => void) => FillSource;
  /** Opens the spool, or hands over one that an earlier fill left; called once. */
  readonly openSpool: (onGrow: () => void) => Promise<HeldSpool>;
  /** Whether the bytes, as they came so far, are to stay here once they are verified. */
  readonly isToKeep: (fill: Fill) => boolean;
}

export type FillEnd =
  | { readonly state: "done"; readonly kept: boolean; readonly bytes: number }
  /** Verified, and not to be kept: the spool stays for its readers and those who join them. */
  | { readonly state: "passed"; readonly spool: Spool; readonly bytes: number }
  /** Nobody wants it any more, or it broke: the spool may serve the next fill. */
  | {
      readonly state: "stopped" | "failed";
      readonly error: Error;
      readonly spool: Spool | undefined;
      readonly bytes: number;
    };

/** What can be told of a fill that runs. */
export interface FillProgress {
  readonly digest: Digest;
  readonly repository: Repository;
  readonly bytes: number;
  readonly size: number | undefined;
  /** `upstream:<name>`, `s3`, `peer:<node>`, or `none` while it only waits. */
  readonly source: string;
  readonly lane: string | undefined;
  readonly readers: number;
  readonly bytesPerSec: number;
}

/**
 * One transfer of one blob from farther away into a spool. It belongs to no request: the client that began it is a reader
 * like the others, and may leave.
 */
export class Fill {
  readonly digest: Digest;
  readonly repository: Repository;
  /** Wall ms at which it began: what was purged later is not kept. */
  readonly beganAt: number;
  /** Resolves with the first head: from then on it is known whose bytes these are. Rejects as the fill does. */
  readonly access: Promise<Access>;

  readonly #options: FillOptions;
  readonly #wakeups: Wakeups;
  readonly #headed = Promise.withResolvers<BlobHead>();
  readonly #abort = new AbortController();
  readonly #source: FillSource;
  readonly #direct: ReturnType<typeof fetchRange>;
  #asked: Place | undefined;
  #tier: Place["tier"] = "upstream";
  #held: HeldSpool | undefined;
  #head: BlobHead | undefined;
  #verified = false;
  #failure: Error | undefined;
  #readers = 0;
  #patience: AbortController | undefined;
  #onUnread = (): void => {};
  #began = { atMs: 0, bytes: 0 };

  constructor(options: FillOptions) {
    this.digest = options.digest;
    this.repository = options.repository;
    this.#options = options;
    this.beganAt = options.clock.now();
    this.#wakeups = makeWakeups(options.clock);
    this.#source = options.openSource((place) => {
      this.#asked = place;
      // Leaves that wait must not go on waiting for a peer.
      this.#wakeups.wake();
    });
    this.#direct = fetchRange({
      ...options,
      get: (request, sink) => this.#source.range(this.#asked ?? { tier: "upstream" }, request, sink),
    });
    this.access = this.#headed.promise.then(({ lane }) => lane.access);
    // Whoever waits gets the error; that nobody may be waiting is no fault.
    this.access.catch(() => {});
  }

  /** Runs the fill to its end. Never rejects; called once. */
  async run(): Promise<FillEnd> {
    try {
      this.#held = await this.#options.openSpool(() => this.#wakeups.grown(this.#end));
      const { spool } = this.#held;
      const access = await this.#fetch(this.#held);
      if (!this.#options.isToKeep(this)) return { state: "passed", bytes: spool.end, spool };
      return { state: "done", bytes: spool.end, kept: await spool.settle({ keep: access }) };
    } catch (error) {
      return await this.#fail(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.#patience?.abort();
    }
  }

  /**
   * A reader from byte 0. Resolves when headers can be promised: the size is known and, for bodies up to 256 KiB, the digest
   * verified. Rejects with the fill's error, or with `cut` when the first bytes are gone (no disk). A leaf is cut wherever it would
   * have to wait for a peer.
   */
  async open({ leaf = false }: { leaf?: boolean } = {}): Promise<Body> {
    this.#enter();
    try {
      while (!this.#head || this.#mustVerifyFirst()) await this.#change(leaf);
      if (this.#failure) throw this.#failure;
      const spool = this.#spool;
      if (!spool || !this.joinable()) throw new PullringError("cut", "the first bytes of this fill are gone");
      return this.#makeReader(spool, leaf);
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

  /** A peer takes this node for the digest's owner: from now on the fill asks no peer to act as one. */
  claim(): void {
    this.#source.claim();
  }

  /** Lets go of what the source holds in the cluster; once the bytes are where others can have them. */
  close(): Promise<void> {
    return this.#source.close();
  }

  /** Which tier the fill has its first bytes from. */
  get tier(): Place["tier"] {
    return this.#tier;
  }

  get readers(): number {
    return this.#readers;
  }

  /** Resolves when a reader has left, and it was the last one; at once where there is none. */
  unread(): Promise<void> {
    return this.#readers === 0 ? Promise.resolve() : new Promise((resolve) => (this.#onUnread = resolve));
  }

  /** What a leaf can have of it. */
  holding(): Holding | undefined {
    const size = this.#size;
    if (!this.#head || this.#failure || size === undefined || !this.joinable()) return undefined;
    const facts = { bytes: this.#readable, size, access: this.#head.lane.access };
    if (this.#verified) return { state: "whole", ...facts };
    if (this.#isFedHere()) return { state: "growing", ...facts };
    return facts.bytes > 0 ? { state: "partial", ...facts } : undefined;
  }

  progress(): FillProgress {
    const { digest, repository } = this;
    return {
      digest,
      repository,
      bytes: this.#end,
      size: this.#size,
      source: this.#asked ? nameOf(this.#asked, repository.upstream) : "none",
      lane: this.#head?.lane.name,
      readers: this.#readers,
      bytesPerSec: Math.round(this.#bytesPerMs() * 1000),
    };
  }

  get #spool(): Spool | undefined {
    return this.#held?.spool;
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
    return readableOf(this.#end, this.#size ?? 0);
  }

  /** Whether no peer has to be waited for: else two nodes could wait for each other. */
  #isFedHere(): boolean {
    return this.#asked !== undefined && this.#asked.tier !== "peer";
  }

  #mustVerifyFirst(): boolean {
    return !this.#verified && !this.#failure && (this.#size ?? 0) <= limits.verifyFirstBytesMax;
  }

  async #change(leaf: boolean): Promise<void> {
    if (this.#failure) throw this.#failure;
    if (leaf && !this.#isFedHere()) throw new PullringError("cut", "the rest is still to come from a peer");
    await this.#wakeups.next();
  }

  async #fetch({ spool, brought }: HeldSpool): Promise<Access> {
    const { clock, repository, digest, sizeExpected } = this.#options;
    let bringing: Place | undefined;
    const bring = (): void => {
      if (this.#asked === bringing || !this.#asked) return;
      bringing = this.#asked;
      brought.set(nameOf(bringing, repository.upstream), bringing);
    };
    const received = await transfer({
      source: this.#source,
      sizeExpected,
      clock,
      repository,
      digest,
      received: spool.end,
      signal: this.#abort.signal,
      onHead: (head) => {
        bring();
        this.#onHead(head);
      },
      onChunk: (chunk) => {
        bring();
        return spool.append(chunk);
      },
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
    // Elsewhere it rests, and here it would not: no need to write it down for those who have not come.
    if (head.whole && !this.#options.isToKeep(this) && (head.size ?? 0) > limits.passBytesMin) this.#spool?.pass();
    this.#head = head;
    this.#tier = this.#asked?.tier ?? "upstream";
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
    if (this.#readers === 0) this.#onUnread();
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
    if (this.#verified) return true;
    if (!this.#options.isToKeep(this)) return false;
    if (this.#head?.resumable === false) return true;
    const size = this.#size;
    if (size === undefined) return false;
    return this.#end * 2 > size || size - this.#end < limits.fillRestBytesMax;
  }

  /** Whether the fill, at its rate so far, would take too long to reach the offset. */
  #isFar(offset: number): boolean {
    const elapsedMs = this.#options.clock.monotonic() - this.#began.atMs;
    if (!this.#head || elapsedMs < limits.rateSampleMs) return false;
    return offset - this.#end > this.#bytesPerMs() * limits.rangeWaitMs;
  }

  #bytesPerMs(): number {
    const elapsedMs = this.#options.clock.monotonic() - this.#began.atMs;
    return this.#head && elapsedMs > 0 ? (this.#end - this.#began.bytes) / elapsedMs : 0;
  }

  async #wait({ offset, end, leaf }: { offset: number; end: number; leaf: boolean }): Promise<void | Uint8Array> {
    while (offset >= this.#readable) {
      if (this.#failure) throw this.#failure;
      // Bytes of a direct range are not verified, so they never carry a response to the blob's last byte.
      const isDirect = this.#isFedHere() && this.#isFar(offset) && end < (this.#size ?? 0);
      const direct = isDirect ? await this.#direct(offset, end) : undefined;
      if (direct) return direct;
      if (offset >= this.#readable && !this.#failure) await this.#change(leaf);
    }
    return undefined;
  }

  #makeReader(spool: Spool, leaf: boolean): Body {
    const reader = spool.reader(0);
    let open = true;
    const segment = (offset: number, end: number): Segment =>
      reader.segment(offset, Math.min(end, this.#readable) - offset);
    return {
      size: this.#size ?? spool.end,
      next: (offset, end) => {
        // Of many ranges one may lie before the other.
        if (end < (this.#size ?? end)) reader.keepBehind();
        if (offset < this.#readable) return segment(offset, end);
        reader.skip(offset);
        return this.#wait({ offset, end, leaf }).then((direct) => (direct ? { bytes: direct } : segment(offset, end)));
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
