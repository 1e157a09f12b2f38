import { availableParallelism, release, type } from "node:os";

/** One line of what was promised, and what came out. */
export interface Verdict {
  readonly what: string;
  readonly bound: { readonly atLeast: number } | { readonly atMost: number };
  readonly measured: number;
  /** "×" for ratios. */
  readonly unit: string;
}

export interface Report {
  readonly title: string;
  readonly verdicts: readonly Verdict[];
  /** Absolute medians: a head, then rows. */
  readonly table: readonly (readonly string[])[];
  readonly note?: string;
}

export const holds = ({ bound, measured }: Verdict): boolean =>
  "atLeast" in bound ? measured >= bound.atLeast : measured <= bound.atMost;

const figure = (value: number): string =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toPrecision(2);

function line(verdict: Verdict): readonly string[] {
  const { what, bound, measured, unit } = verdict;
  const target = "atLeast" in bound ? `≥ ${bound.atLeast}${unit}` : `≤ ${bound.atMost}${unit}`;
  return [what, target, `${figure(measured)}${unit}`, holds(verdict) ? "pass" : "**fail**"];
}

function markdown([head = [], ...rows]: readonly (readonly string[])[]): string {
  const text = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [text(head), text(head.map(() => "---")), ...rows.map(text)].join("\n");
}

export const verdictTable = (verdicts: readonly Verdict[]): string =>
  markdown([["Pullring against", "target", "measured", ""], ...verdicts.map(line)]);

export const reportText = ({ title, verdicts, table, note }: Report): string =>
  [`## ${title}`, verdictTable(verdicts), ...(note === undefined ? [] : [note]), markdown(table)].join("\n\n");

export interface Circumstances {
  readonly rounds: number;
  readonly date: string;
  readonly congestion: string;
}

/** The whole page. */
export function page(reports: readonly Report[], { rounds, date, congestion }: Circumstances): string {
  const verdicts = reports.flatMap((report) => report.verdicts);
  const missed = verdicts.filter((verdict) => !holds(verdict)).length;
  return `# Benchmarks

Written by \`npm run bench\` on ${date}: ${availableParallelism()} cores, ${type()} ${release().split("-")[0]}, Node ${process.versions.node},
everything on loopback, ${congestion}.

Each figure is the median of ${rounds} rounds in which all contestants had their turn, in changing order, after some load that is
not measured. Read ratios, not absolute figures. Debian's docker-registry runs as a pull-through cache. nginx appears twice: as \`proxy_cache\` with
\`proxy_cache_lock\`, and as a static server with \`sendfile\`, which is what the machine can do at best. All of them fetch from one
upstream, static files under a registry's paths. The load client throws bodies away in the kernel. CPU is the server's
user and system time; GB are 10⁹ bytes. Pullring runs with its defaults: a log line for each request, and metrics.

${verdicts.length - missed} of ${verdicts.length} targets are met.

${reports.map(reportText).join("\n\n")}
`;
}
