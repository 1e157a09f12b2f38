import type { ImagesAnswer } from "./answers.ts";
import type { Command, CommandAsk } from "./command.ts";
import { completeness } from "./completeness.ts";
import { CommandError, exitCodes } from "./exit-codes.ts";
import { bytesText, table } from "./table.ts";
import { none } from "./words.ts";

/** As the node has it: images of one page. */
const pageMax = 500;

export const images: Command = {
  usage: "images [--match TEXT] [--limit N] [--all] [--self]",
  summary: "The tags that nodes have a record of: what they point at, and how much of it rests where.",
  examples: [
    ["pullring images", "the first hundred, of every node"],
    ["pullring images --match library/alpine", "those whose upstream/repo:tag contains that"],
    ["pullring images --all --json > images.json", "all of them, for a script"],
  ],
  options: {
    match: { type: "string", default: "" },
    limit: { type: "string", default: "100" },
    all: { type: "boolean" },
    self: { type: "boolean" },
  },
  async run(ask) {
    none(ask.words);
    const answer = await pagesOf(ask);
    const rows = answer.images.map(({ node, repository, tag, digest, checkedAt, bytes, here }) => [
      `${repository}:${tag}`,
      node,
      digest.slice(0, 19),
      checkedAt.slice(0, 16).replace("T", " "),
      bytes === null ? "?" : bytesText(bytes),
      here === null ? "?" : bytesText(here),
    ]);
    const heads = ["IMAGE", "NODE", "DIGEST", "CHECKED (UTC)", "BYTES", "HERE"];
    const more = answer.next === null ? "" : "\nmore: --all, or --limit N\n";
    return {
      answer,
      text: rows.length > 0 ? table(heads, rows) + more : "no images\n",
      ...completeness(answer.missing),
    };
  },
};

interface Wanted {
  readonly match: string;
  readonly limit: string;
  readonly all?: boolean;
  readonly self?: boolean;
}

async function pagesOf({ client, values }: CommandAsk): Promise<ImagesAnswer> {
  const { match, limit, all = false, self = false } = values as unknown as Wanted;
  if (!/^[1-9]\d{0,2}$/.test(limit) || Number(limit) > pageMax)
    throw new CommandError(exitCodes.usage, `--limit: "${limit}" is no number from 1 to ${pageMax}`);
  const found: ImagesAnswer["images"][number][] = [];
  const missing = new Set<string>();
  for (let after = ""; ;) {
    const query = new URLSearchParams({ match, after, limit: all ? String(pageMax) : limit });
    if (self) query.set("node", "self");
    const page = (await client.call("GET", `/images?${query.toString()}`)) as unknown as ImagesAnswer;
    found.push(...page.images);
    for (const node of page.missing) missing.add(node);
    if (!all || page.next === null) return { images: found, next: page.next, missing: [...missing] };
    after = page.next;
  }
}
