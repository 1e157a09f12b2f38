import { repositoryKey, type Cache, type NodeId } from "@pullring/core";

import { fillsTold } from "./answers.ts";
import type { FillFacts, FillsView } from "./ports.ts";

type Progress = ReturnType<ReturnType<Cache["fills"]["list"]>[number]["progress"]>;

type Listed = readonly { progress(): Progress }[];

/** What is told of the fills of this node. */
export const fillsHere = (fills: Listed): readonly FillFacts[] => fills.map((fill) => fillFacts(fill.progress()));

/** The fills of this node, and by `ask` those of the others: their word is read as a stranger's would be. */
export const fillsOf = (list: () => Listed, ask: (node: NodeId) => Promise<unknown>): FillsView => ({
  here: () => fillsHere(list()),
  at: async (node) => fillsTold.parse(await ask(node)),
});

export const fillFacts = ({
  digest,
  repository,
  bytes,
  size,
  source,
  lane,
  readers,
  bytesPerSec,
}: Progress): FillFacts => ({
  digest,
  repository: repositoryKey(repository),
  bytes,
  total: size ?? null,
  source,
  lane: lane ?? null,
  readers,
  rate: Math.round(bytesPerSec),
});
