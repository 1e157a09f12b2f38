/** Seeds that once found something wrong, with what that was. `npm run soak -- --sim 1 --seed N` shows what happens in one. */
export const regressions: readonly { readonly seed: number; readonly found: string }[] = [
  { seed: 307, found: "a slow reader's fill of before a purge was copied by another node afterwards, and kept" },
  { seed: 1158, found: "a fill that ran through a purge was joined by a peer afterwards, which kept its bytes" },
  { seed: 11_858, found: "what was purged was copied from a node that had just started, and kept" },
  { seed: 11_768, found: "after a purge what upstream had completed was not kept, because its beginning was a copy" },
  { seed: 12_614, found: "what was purged was copied from a node that heard of the purge a moment later, and kept" },
  { seed: 13_519, found: "what was purged was copied from the spool of a slow reader, and kept" },
  { seed: 19_728, found: "what was purged was copied from shared storage, and kept" },
  {
    seed: 6_248,
    found: "at the start a node fetched what another had, of which it had not heard; that is accounted for",
  },
  {
    seed: 101_510,
    found: "wrong beginnings that several nodes had cost a GET each; that is bounded, and accounted for",
  },
];
