/** Seeds that once found something wrong, with what that was. `npm run soak -- --sim 1 --seed N` shows what happens in one. */
export const regressions: readonly { readonly seed: number; readonly found: string }[] = [
  { seed: 307, found: "a slow reader's fill of before a purge was copied by another node afterwards, and kept" },
  { seed: 1158, found: "a fill that ran through a purge was joined by a peer afterwards, which kept its bytes" },
  {
    seed: 101_510,
    found: "wrong beginnings that several nodes had cost a GET each; that is bounded, and accounted for",
  },
];
