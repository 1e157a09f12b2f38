import { parseMember, type Member } from "./member.ts";
import { membershipLimits as limits } from "../limits.ts";

/** One value that survives a restart. */
export interface LastRingStore {
  /** undefined when nothing was saved. */
  load(): Promise<unknown>;
  save(value: unknown): Promise<void>;
}

export interface LastRing {
  readonly generation: string;
  readonly members: readonly Member[];
}

/** Never rejects: without it a start without Redis knows this node only. */
export async function loadLastRing(store: LastRingStore | undefined): Promise<LastRing | undefined> {
  const found = (await store?.load().catch(() => undefined)) as { generation?: unknown; members?: unknown } | undefined;
  if (typeof found !== "object" || found === null) return undefined;
  const { generation, members } = found;
  if (typeof generation !== "string" || !Array.isArray(members)) return undefined;
  return { generation, members: members.slice(0, limits.membersMax).flatMap((member) => parseMember(member) ?? []) };
}

/** Saves what differs from the last, one at a time and the newest of those that wait. Rejections go to `onError`. */
export function makeLastRingSaver(
  store: LastRingStore | undefined,
  onError: (error: unknown) => void,
): { save(ring: LastRing): void; idle(): Promise<void> } {
  let saved = "";
  let next: LastRing | undefined;
  let running: Promise<void> = Promise.resolve();
  let isRunning = false;

  async function run(target: LastRingStore): Promise<void> {
    for (let ring = next; ring; ring = next) {
      next = undefined;
      await target.save(ring).catch((error: unknown) => {
        saved = "";
        onError(error);
      });
    }
    isRunning = false;
  }

  return {
    save(ring) {
      const text = JSON.stringify(ring);
      if (!store || text === saved) return;
      saved = text;
      next = ring;
      if (isRunning) return;
      isRunning = true;
      running = run(store);
    },
    idle: () => running,
  };
}
