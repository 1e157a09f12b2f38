import type { CacheAnswer } from "./answers.ts";
import type { Command } from "./command.ts";
import { completeness } from "./completeness.ts";
import { bytesText, percent, table } from "./table.ts";
import { none } from "./words.ts";

export const cache: Command = {
  usage: "cache [--self]",
  summary: "What rests in each tier, and what came from there since the nodes' start.",
  examples: [
    ["pullring cache", "every node, and the share of answers that cost upstream nothing"],
    ["pullring cache --self --json", "the node that is asked, for a script"],
  ],
  options: { self: { type: "boolean" } },
  async run({ client, values, words }) {
    none(words);
    const answer = await client.call("GET", values["self"] === true ? "/cache?node=self" : "/cache");
    const { tiers, missing } = answer as unknown as CacheAnswer;
    const rows = tiers.map(({ node, tier, bytes, bytesMax, objects, hits, sent, evictions }) => [
      node,
      tier,
      bytes === null ? "-" : bytesText(bytes),
      bytesMax === null ? "-" : bytesText(bytesMax),
      objects ?? "-",
      hits,
      bytesText(sent),
      evictions ?? "-",
    ]);
    const text = table(["NODE", "TIER", "BYTES", "OF", "OBJECTS", "HITS", "SENT", "EVICTED"], rows);
    return { answer, text: text + hitRatio(tiers), ...completeness(missing) };
  },
};

function hitRatio(tiers: CacheAnswer["tiers"]): string {
  const sum = (of: CacheAnswer["tiers"]): number => of.reduce((total, { hits }) => total + hits, 0);
  const all = sum(tiers);
  if (all === 0) return "\nnothing was asked for yet\n";
  const cached = all - sum(tiers.filter(({ tier }) => tier === "upstream"));
  return `\n${percent(cached / all)} of ${all} answers came without upstream\n`;
}
