import { PullringError } from "@pullring/core";

const never = new Promise<never>(() => {});

/**
 * One start of a node. What runs in it can't be ended from outside, so it is kept from having any effect: a dead process gets no
 * answer from any port and its calls do nothing; one that hangs gets all of that later.
 */
export class SimProcess {
  readonly died: Promise<never>;
  readonly #die: (error: Error) => void;
  #isAlive = true;
  #resumed: PromiseWithResolvers<void> | undefined;

  constructor() {
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    this.died = promise;
    this.#die = reject;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get isHung(): boolean {
    return this.#resumed !== undefined;
  }

  kill(): void {
    this.#isAlive = false;
    this.resume();
    this.#die(new PullringError("cut", "this node has died"));
  }

  hang(): void {
    this.#resumed ??= Promise.withResolvers();
  }

  resume(): void {
    this.#resumed?.resolve();
    this.#resumed = undefined;
  }

  /** Resolves when the process can go on; never once it is dead. */
  async running(): Promise<void> {
    while (this.#resumed) await this.#resumed.promise;
    if (!this.#isAlive) await never;
  }

  /** Does the work if and when the process runs, and lets it have the outcome likewise. */
  async run<T>(work: () => T | Promise<T>): Promise<T> {
    await this.running();
    try {
      return await work();
    } finally {
      await this.running();
    }
  }

  /** A port as this process has it. `sync`: methods that answer at once. */
  port<T extends object>(port: T, sync: readonly (keyof T)[] = []): T {
    return new Proxy(port, {
      get: (target, name) => {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== "function") return value;
        const call = (args: unknown[]): unknown => Reflect.apply(value, target, args);
        if (sync.includes(name as keyof T)) return (...args: unknown[]) => call(args);
        return (...args: unknown[]) => this.run(() => call(args));
      },
    });
  }
}
