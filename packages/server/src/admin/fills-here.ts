import { repositoryKey, type Cache } from "@pullring/core";

import type { FillFacts, FillsView } from "./ports.ts";

type Progress = ReturnType<ReturnType<Cache["fills"]["list"]>[number]["progress"]>;

/** The fills of this node. Nodes do not tell each other of theirs: the others, if there are any, count as not reached. */
export const fillsHere = (list: () => readonly { progress(): Progress }[]): FillsView => ({
  here: () => list().map((fill) => factsOf(fill.progress())),
  at: () => Promise.reject(new Error("nodes do not tell each other of their fills")),
});

const factsOf = ({ digest, repository, bytes, size, source, lane, readers, bytesPerSec }: Progress): FillFacts => ({
  digest,
  repository: repositoryKey(repository),
  bytes,
  total: size ?? null,
  source,
  lane: lane ?? null,
  readers,
  rate: Math.round(bytesPerSec),
});
