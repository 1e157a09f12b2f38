import type { QuotaAnswer, QuotaLane } from "./answers.ts";
import type { Command } from "./command.ts";
import { completeness } from "./completeness.ts";
import { durationText } from "./duration-text.ts";
import { table } from "./table.ts";
import { none } from "./words.ts";

const gaugeWidth = 12;

const quota: Command = {
  usage: "quota [--self]",
  summary: "What each account and address has left of its upstream's limit, and how long it lasts.",
  options: { self: { type: "boolean" } },
  async run({ client, values, words }) {
    none(words);
    const answer = await client.call("GET", values["self"] === true ? "/quota?node=self" : "/quota");
    const { lanes, missing, at } = answer as unknown as QuotaAnswer;
    return { answer, text: textOf(lanes, Date.parse(at)), ...completeness(missing) };
  },
};

export const quotaCommands = { quota } as const;

function textOf(lanes: readonly QuotaLane[], now: number): string {
  if (lanes.length === 0) return "no lanes\n";
  const sorted = [...lanes].sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
  const rows = sorted.map((lane) => [
    nameOf(lane),
    lane.egress,
    lane.node,
    lane.source ?? "",
    leftOf(lane),
    windowOf(lane, now),
    stateOf(lane, now),
  ]);
  const heads = ["LANE", "EGRESS", "NODE", "CHARGED TO", "LEFT", "WINDOW", "STATE"];
  const forecasts = forecastsOf(sorted, now);
  return table(heads, rows) + (forecasts.length > 0 ? `\n${forecasts.join("\n")}\n` : "");
}

const nameOf = ({ upstream, account }: QuotaLane): string => `${upstream}/${account ?? "anonymous"}`;

const orderOf = ({ upstream, account, egress, node }: QuotaLane): string =>
  // Accounts first, then what is anonymous.
  [upstream, account === null ? "1" : "0", account ?? "", egress, node].join("\0");

function leftOf({ budget, unmetered, limit, remaining, spent }: QuotaLane): string {
  if (budget === null) return "no limit";
  if (unmetered) return `unmetered${spent === null ? "" : `, ${spent} spent`}`;
  if (limit === null || remaining === null) return "not known yet";
  const left = Math.max(0, remaining);
  const part = limit === 0 ? 0 : Math.min(1, left / limit);
  // Something left is never drawn as nothing, nor something spent as a whole.
  const full =
    part === 0 ? 0 : Math.max(1, Math.min(part < 1 ? gaugeWidth - 1 : gaugeWidth, Math.round(part * gaugeWidth)));
  return `${"█".repeat(full)}${"░".repeat(gaugeWidth - full)} ${left} of ${limit}`;
}

function windowOf({ windowSec, resetAt, unmetered }: QuotaLane, now: number): string {
  if (windowSec === null || unmetered) return "";
  const length = `of ${durationText(windowSec * 1000)}`;
  return resetAt === null ? length : `${length}, over in ${durationText(Date.parse(resetAt) - now)}`;
}

/** One thing at a time: what keeps the lane from being used goes first. */
function stateOf({ benched, coolDownUntil, observedAt, budget, unmetered, remaining }: QuotaLane, now: number): string {
  if (benched !== null) return `benched: ${benched}`;
  const coolDownMs = coolDownUntil === null ? 0 : Date.parse(coolDownUntil) - now;
  if (coolDownMs > 0) return `refused, again in ${durationText(coolDownMs)}`;
  if (budget === null || unmetered) return "";
  if (remaining !== null && remaining <= 0) return "empty";
  return observedAt === null ? "assumed" : "";
}

/** Once for each budget, however many lanes share it, the most urgent first. */
function forecastsOf(lanes: readonly QuotaLane[], now: number): readonly string[] {
  const budgets = new Map(lanes.map((lane) => [lane.budget ?? "", lane]));
  return [...budgets.values()]
    .flatMap((lane) => {
      const emptyAt = lane.forecast?.emptyAt;
      return emptyAt !== null && emptyAt !== undefined && (lane.remaining ?? 0) > 0
        ? [{ lane, inMs: Date.parse(emptyAt) - now }]
        : [];
    })
    .sort((a, b) => a.inMs - b.inMs)
    .map(({ lane, inMs }) => {
      const by = lane.account === null ? ` by ${lane.source ?? lane.egress}` : "";
      return `at this rate ${nameOf(lane)}${by} is empty in ${durationText(inMs)}`;
    });
}
