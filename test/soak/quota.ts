import type { Hub } from "@pullring/testkit";

import { pull } from "../real/http.ts";
import {
  type Allowance,
  budgetOf,
  countedGets,
  makeTags,
  pullTags,
  sharesSpent,
  startSpenders,
  throttled,
} from "../promises/quota-rig.ts";
import { type Findings, findingsText, seconds } from "./promises-table.ts";

/** Docker Hub's own figures. */
const allowance: Allowance = { anonymousLimit: 100, accountLimit: 200 };
const clients = 64;
/** Points of a budget that its use may be away from the others' half way. */
const pointsMax = 5;

interface Pulled {
  readonly tookMs: number;
  readonly failed: number;
  readonly shares: Readonly<Record<string, number>>;
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

/** 1,000 tags that nobody has, as fast as clients can, and then one more at each node. */
export async function soakQuota(): Promise<string[]> {
  // All answer the one after the last as the configuration says: n1 and n2 send clients to upstream, n3 holds them.
  const config = ({ id }: { readonly id: string }) => ({ fallback: id === "n3" ? "hold" : "direct" });
  await using cluster = await startSpenders(allowance, { config });
  const { hub } = cluster;
  const all = budgetOf(allowance);
  const names = makeTags(hub, all + cluster.nodes.length);

  async function pullPart(from: number, to: number): Promise<Pulled> {
    const startedMs = performance.now();
    const statuses = await pullTags(cluster, names.slice(from, to), clients);
    const failed = statuses.filter((status) => status !== 200).length;
    return { tookMs: performance.now() - startedMs, failed, shares: sharesSpent(hub, allowance) };
  }
  const [half, rest] = [await pullPart(0, all / 2), await pullPart(all / 2, all)];
  const [counted, refused] = [countedGets(hub), throttled(hub)];
  hub.ledger.clear();
  const beyond = await Promise.all(
    cluster.nodes.map(async ({ id, url }, index) => {
      const { status, headers } = await pull(`${url}/v2/${names[all + index]}/manifests/1`);
      return { id, status, waitSec: Number(headers["retry-after"]) };
    }),
  );

  const problems = [
    ...(half.failed + rest.failed === 0 ? [] : [`${half.failed + rest.failed} of ${all} pulls failed`]),
    ...(counted === all ? [] : [`${counted} GETs were counted, not ${all}`]),
    ...(refused === 0 ? [] : [`${refused} were refused by 429`]),
    ...farFromHalf(half.shares),
    ...beyond.filter(isNotAsToldBeyond).map(({ id, status }) => `${id} answers the one too many with ${status}`),
    ...askedBeyond(hub),
  ];
  const table = [
    ["budget", `after ${all / 2}`, `after ${all}`],
    ...Object.keys(half.shares).map((payer) => [
      payer,
      percent(half.shares[payer] ?? 0),
      percent(rest.shares[payer] ?? 0),
    ]),
  ];
  const note =
    `${all} pulls took ${seconds(half.tookMs + rest.tookMs)}; counted GETs ${counted}, 429s ${refused}; ` +
    `one more at each node: ${beyond.map(({ id, status }) => `${id} ${status}`).join(", ")}, asked of upstream then: ${hub.ledger.count()}.`;
  const findings: Findings = { title: "What may be pulled is spent evenly, and to its end", table, problems, note };
  console.log(findingsText(findings));
  return problems.map((problem) => `quota: ${problem}`);
}

const farFromHalf = (shares: Pulled["shares"]): readonly string[] =>
  Object.entries(shares)
    .filter(([, share]) => Math.abs(share - 0.5) * 100 > pointsMax)
    .map(([payer, share]) => `${payer} is spent to ${percent(share)} half way`);

const isNotAsToldBeyond = ({ id, status, waitSec }: { id: string; status: number; waitSec: number }): boolean =>
  id === "n3" ? status !== 429 || !(waitSec > 0) : status !== 503;

const askedBeyond = ({ ledger }: Hub): readonly string[] =>
  ledger.entries.map(({ kind, repository }) => `asked for ${kind} of ${repository} when nothing was left`);
