import type { DrainAnswer, OwnerAnswer, PreviewAnswer, RingAnswer } from "./answers.ts";
import type { Command } from "./command.ts";
import { CommandError, exitCodes } from "./exit-codes.ts";
import { percent, table } from "./table.ts";
import { none, one } from "./words.ts";

const ok = exitCodes.ok;

const ring: Command = {
  usage: "ring",
  summary: "Who is in the cluster, and which part of the keys is whose.",
  async run({ client, words }) {
    none(words);
    const answer = await client.call("GET", "/ring");
    const { epoch, algorithm, points, self, nodes } = answer as unknown as RingAnswer;
    const rows = nodes.map(({ id, ringName, state, benched, weight, share, lastSeenMs, url }) => [
      id === self ? `${id} *` : id,
      ringName,
      benched ? `${state}, benched` : state,
      weight,
      percent(share),
      `${(lastSeenMs / 1000).toFixed(1)} s ago`,
      url,
    ]);
    const head = `epoch ${epoch}, ${algorithm}, ${points} points, as ${self} sees it\n\n`;
    return {
      answer,
      text: head + table(["NODE", "RING NAME", "STATE", "WEIGHT", "SHARE", "SEEN", "URL"], rows),
      code: ok,
    };
  },
};

const owner: Command = {
  usage: "owner KEY",
  summary: "Who owns a key (a digest, or upstream/repo:tag), and who follows.",
  examples: [["pullring owner docker.io/alpine:3", "which node asks upstream about this tag"]],
  async run({ client, words }) {
    const key = one(words, "a digest, or upstream/repo:tag");
    const answer = await client.call("GET", `/ring/owner?key=${encodeURIComponent(key)}`);
    const { key: hashed, hash, owner: first, next } = answer as unknown as OwnerAnswer;
    const text = `${first}\n  key   ${hashed}\n  hash  ${hash}\n  next  ${next.length > 0 ? next.join(", ") : "nobody"}\n`;
    return { answer, text, code: ok };
  },
};

const preview: Command = {
  usage: "preview [--add ID[:WEIGHT]]… [--remove ID]…",
  summary: "What a change of nodes would move. Changes nothing; a node that is removed and added gets a new weight.",
  examples: [
    ["pullring preview --add n4", "what a fourth node would take from the others"],
    ["pullring preview --remove n1 --add n1:2", "what a weight of 2 would bring to n1"],
  ],
  options: { add: { type: "string", multiple: true }, remove: { type: "string", multiple: true } },
  async run({ client, values, words }) {
    none(words);
    const add = ((values["add"] ?? []) as string[]).map(addition);
    const remove = (values["remove"] ?? []) as string[];
    if (add.length + remove.length === 0) throw new CommandError(exitCodes.usage, "nothing to add, nothing to remove");
    const answer = await client.call("POST", "/ring/preview", { add, remove });
    const { moved, nodes } = answer as unknown as PreviewAnswer;
    const rows = nodes.map(({ id, before, after }) => [id, percent(before), percent(after)]);
    return {
      answer,
      text: `${percent(moved)} of all keys move\n\n${table(["NODE", "BEFORE", "AFTER"], rows)}`,
      code: ok,
    };
  },
};

function addition(text: string): { id: string; weight?: number } {
  const [, id = "", weight] = /^([^:]+)(?::(\d{1,3}))?$/.exec(text) ?? [];
  if (id === "") throw new CommandError(exitCodes.usage, `--add: "${text}" is no id or id:weight`);
  return weight === undefined ? { id } : { id, weight: Number(weight) };
}

const drain: Command = {
  usage: "drain [--undo]",
  summary: "Takes this node out of the ring, or back into it. It keeps serving.",
  examples: [["pullring drain --token-file token", "before the node is stopped for good"]],
  options: { undo: { type: "boolean" } },
  async run({ client, values, words }) {
    none(words);
    const answer = await client.call(values["undo"] === true ? "DELETE" : "POST", "/nodes/self/drain");
    const { node, draining, told } = answer as unknown as DrainAnswer;
    const text = `${node} ${draining ? "leaves the ring and keeps serving" : "is back in the ring"}\n`;
    if (told) return { answer, text, code: ok };
    return { answer, text, note: "the others can't be told yet", code: exitCodes.incomplete };
  },
};

export const ringCommands = { ring, owner, preview, drain } as const;
