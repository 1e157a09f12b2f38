import { membershipLimits as limits } from "../limits.ts";
import { Admission } from "./admission.ts";
import type { BeatStore, Reading } from "./beat-store.ts";
import type { Feed } from "./feed.ts";
import { Heartbeat } from "./heartbeat.ts";
import { loadLastRing, makeLastRingSaver } from "./last-ring.ts";
import type { Member } from "./member.ts";
import { MemberTable } from "./member-table.ts";
import type { MembershipOptions, MembershipStatus } from "./membership.ts";
import { warnOnce } from "./warn-once.ts";

export interface FollowRedisOptions extends Omit<MembershipOptions, "source"> {
  readonly beats: BeatStore;
  /** Nobody stands behind the id any more, or another process than before. */
  readonly onGone: (node: string) => void;
}

/** Members by their beats in Redis; without Redis the ring stays as it was, over a restart too. */
export function followRedis(options: FollowRedisOptions): Feed {
  const { self, clock, log, lastRing, mayDial, answers, onGone } = options;
  const table = new MemberTable();
  const admission = new Admission(options);
  const warn = warnOnce(log);
  const saver = makeLastRingSaver(lastRing, (error) => warn(String(error), "the ring can't be kept on disk"));
  let frozen: { readonly sinceMs: number; readonly by: string } | undefined;
  let onRead = (): void => {};

  function take(reading: Reading): void {
    if (frozen) log.info({ afterMs: Math.round(clock.monotonic() - frozen.sinceMs) }, "members can be read again");
    frozen = undefined;
    const wipedAtMs = table.wipedAtMs;
    for (const id of table.apply(admission.admit(reading), clock.monotonic())) onGone(id);
    if (table.wipedAtMs !== wipedAtMs) log.warn({}, "Redis has forgotten the members: the ring stays as it is");
    saver.save({ generation: reading.generation, members: [self, ...table.inRing()].map(bare) });
    onRead();
  }

  function miss(error: unknown): void {
    table.miss();
    if (frozen) return;
    frozen = { sinceMs: clock.monotonic(), by: String(error) };
    log.warn({ error: frozen.by }, "members can't be read: the ring stays as it is");
  }

  const heartbeat = new Heartbeat({
    ...options,
    store: options.beats,
    answers: (url, incarnation) => (mayDial(url) ? answers(url, incarnation) : Promise.resolve(false)),
    onReading: take,
    onMiss: miss,
  });

  return {
    others: table,
    async start(listener) {
      onRead = listener;
      const last = await loadLastRing(lastRing);
      const reading = await heartbeat.start();
      const seen = new Set(reading?.beats.map(({ document }) => document.id));
      // Of a set that was never wiped it is known who has gone since; of another one, or none, it isn't.
      const isSame = reading !== undefined && reading.generation === last?.generation;
      const members = (last?.members ?? []).filter(
        ({ id, url }) => id !== self.id && mayDial(url) && (!isSame || seen.has(id)),
      );
      table.seed(members, clock.monotonic());
      if (reading) take(reading);
      onRead();
      heartbeat.run();
    },
    tell: (state) => heartbeat.tell(state),
    status: () =>
      statusOf({
        heartbeat,
        wipedAtMs: table.wipedAtMs,
        unheard: table.unheardSinceWipe(),
        ignoredRows: admission.ignoredRows,
        frozen,
        nowMs: clock.monotonic(),
      }),
    async stop(isGone) {
      await heartbeat.stop(isGone);
      await saver.idle();
    },
  };
}

const bare = ({ id, url, ringName, weight }: Member): Member => ({ id, url, ringName, weight });

interface Facts {
  readonly heartbeat: Heartbeat;
  readonly frozen: { readonly sinceMs: number; readonly by: string } | undefined;
  readonly wipedAtMs: number | undefined;
  readonly unheard: readonly string[];
  readonly ignoredRows: number;
  readonly nowMs: number;
}

function statusOf({ heartbeat, frozen, wipedAtMs, unheard, ignoredRows, nowMs }: Facts): MembershipStatus {
  const { isSuperseded } = heartbeat;
  const wipedAgoMs = wipedAtMs === undefined ? Infinity : nowMs - wipedAtMs;
  const isWiped = wipedAgoMs < limits.wipeToldMs;
  const reasons: string[] = [];
  if (frozen) {
    const seconds = Math.round((nowMs - frozen.sinceMs) / 1_000);
    reasons.push(`members can't be read for ${seconds} s (${frozen.by}): the ring stays as it was`);
  }
  if (isSuperseded) reasons.push("another process has this node's id");
  // Once all are back the node is as it was; the log tells of the wipe.
  if (unheard.length > 0) reasons.push(`Redis had forgotten the members, and not all are back: ${unheard.join(", ")}`);
  return {
    source: "redis",
    isSuperseded,
    ignoredRows,
    reasons,
    ...(frozen ? { frozenForMs: nowMs - frozen.sinceMs, frozenBy: frozen.by } : {}),
    ...(isWiped ? { wipedAgoMs } : {}),
  };
}
