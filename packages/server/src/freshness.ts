import { globMatcher, repositoryKey, type CacheDeps } from "@pullring/core";

import type { TagFreshness } from "./config/index.ts";

/** How long tags and lists are fresh, by the rules: the first that matches counts. A list is as fresh as any other tag. */
export function freshnessOf({ freshMs, rules }: Omit<TagFreshness, "refreshHot">): CacheDeps["policy"] {
  const compiled = rules.map((rule) => ({ matches: globMatcher(rule.match), freshMs: rule.freshMs }));
  return {
    freshMs(repository, tag) {
      const key = `${repositoryKey(repository)}:${tag}`;
      return compiled.find(({ matches }) => matches(key))?.freshMs ?? freshMs;
    },
    listFreshMs: () => freshMs,
  };
}
