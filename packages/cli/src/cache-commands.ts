import type { FillsAnswer, PurgeAnswer } from "./answers.ts";
import type { Command } from "./command.ts";
import { completeness } from "./completeness.ts";
import { exitCodes } from "./exit-codes.ts";
import { bytesText, percent, table } from "./table.ts";
import { none, one } from "./words.ts";

const fills: Command = {
  usage: "fills [--self]",
  summary: "The fills that run now, of the whole cluster or of the node that is asked.",
  examples: [["pullring fills --self", "those of the node that is asked"]],
  options: { self: { type: "boolean" } },
  async run({ client, values, words }) {
    none(words);
    const answer = await client.call("GET", values["self"] === true ? "/fills?node=self" : "/fills");
    const { fills: running, missing } = answer as unknown as FillsAnswer;
    const rows = running.map(({ node, digest, repository, bytes, total, source, lane, readers, rate }) => [
      node,
      digest.slice(0, 19),
      repository,
      bytesText(bytes),
      total === null ? "?" : `${bytesText(total)}${total > 0 ? `, ${percent(bytes / total)}` : ""}`,
      lane === null ? source : `${source} ${lane}`,
      readers,
      `${bytesText(rate)}/s`,
    ]);
    const heads = ["NODE", "DIGEST", "REPOSITORY", "BYTES", "OF", "SOURCE", "READERS", "RATE"];
    const text = rows.length > 0 ? table(heads, rows) : "no fills\n";
    return { answer, text, ...completeness(missing) };
  },
};

const purge: Command = {
  usage: "purge DIGEST | UPSTREAM/REPO[:TAG]",
  summary: "Removes a blob, a tag, or all tags of a repository from every node and from S3.",
  examples: [
    ["pullring purge alpine:3 --token-file token", "the tag: the next pull asks upstream what it points at"],
    ["pullring purge ghcr.io/acme/app --token-file token", "all that is written down of a repository"],
    ["pullring purge sha256:… --token-file token", "the bytes of one digest"],
  ],
  async run({ client, words }) {
    const what = one(words, "a digest, upstream/repo:tag or upstream/repo");
    const isBlob = /^sha(?:256|512):/.test(what);
    const path = what.split("/").map(encodeURIComponent).join("/");
    const answer = await client.call("DELETE", `${isBlob ? "/blobs" : "/images"}/${path}`);
    const { purged, nodes, s3, missing } = answer as unknown as PurgeAnswer;
    const reached = nodes.map(({ node }) => node).join(", ");
    const text = `purged ${purged} on ${reached}${s3 === "none" ? "" : `; S3: ${s3}`}\n`;
    const end = completeness(missing);
    return { answer, text, ...end, code: s3 === "failed" ? exitCodes.incomplete : end.code };
  },
};

export const cacheCommands = { fills, purge } as const;
