/** Wakes all who wait for the next change; who waits looks for himself what has changed. */
export interface Signal {
  next(): Promise<void>;
  fire(): void;
}

export function makeSignal(): Signal {
  let waiting: PromiseWithResolvers<void> | undefined;
  return {
    next: () => (waiting ??= Promise.withResolvers<void>()).promise,
    fire() {
      waiting?.resolve();
      waiting = undefined;
    },
  };
}
