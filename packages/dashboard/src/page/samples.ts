import type { Sample } from "./state.ts";

/** How many are kept: an hour of one every five seconds. */
export const samplesMax = 720;

const sampleGrammar = /^(\w+)\{(.*)\} (\S+)$/;
const labelGrammar = /(\w+)="([^"]*)"/g;

/** What the text of /metrics tells of requests and bytes, by tier. */
export function sampleOf(metrics: string, nowMs: number): Sample {
  const [requests, bytes]: [Record<string, number>, Record<string, number>] = [{}, {}];
  for (const line of metrics.split("\n")) {
    const [, name, text = "", value] = sampleGrammar.exec(line) ?? [];
    if (name !== "pullring_requests_total" && name !== "pullring_bytes_total") continue;
    const labels = Object.fromEntries([...text.matchAll(labelGrammar)].map(([, key, label]) => [key, label]));
    const tier = labels["tier"] ?? "";
    if (name === "pullring_bytes_total") bytes[tier] = (bytes[tier] ?? 0) + Number(value);
    else if (["manifest", "blob"].includes(labels["route"] ?? "") && tier !== "none")
      requests[tier] = (requests[tier] ?? 0) + Number(value);
  }
  return { at: nowMs / 1000, requests, bytes };
}

export const tiersDrawn = ["memory", "disk", "peer", "s3", "upstream"] as const;

/** Times, and behind them a row of values for each thing that is drawn; null = there is nothing to tell. */
export type Series = readonly [readonly number[], ...(readonly (number | null)[])[]];

const grownOf = (
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
  tier: string,
): number => Math.max(0, (after[tier] ?? 0) - (before[tier] ?? 0));

const pairsOf = (samples: readonly Sample[]): readonly (readonly [Sample, Sample])[] =>
  samples.slice(1).map((after, index) => [samples[index] ?? after, after]);

/** Bytes per second, a row for each tier. A node that was restarted counts from 0: that is no traffic. */
export function bytesSeries(samples: readonly Sample[]): Series {
  const pairs = pairsOf(samples);
  const rows = tiersDrawn.map((tier) =>
    pairs.map(([before, after]) => grownOf(before.bytes, after.bytes, tier) / Math.max(0.1, after.at - before.at)),
  );
  return [pairs.map(([, { at }]) => at), ...rows];
}

/** The share, 0 to 1, of requests that upstream had no part in; nothing where there were none. */
export function hitSeries(samples: readonly Sample[]): Series {
  const pairs = pairsOf(samples);
  const row = pairs.map(([before, after]) => {
    const grown = tiersDrawn.map((tier) => grownOf(before.requests, after.requests, tier));
    const all = grown.reduce((sum, count) => sum + count, 0);
    return all === 0 ? null : 1 - (grown.at(-1) ?? 0) / all;
  });
  return [pairs.map(([, { at }]) => at), row];
}
