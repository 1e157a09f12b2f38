/** What one full form found: a table to print, and everything that was not as promised. */
export interface Findings {
  readonly title: string;
  /** A head, then rows. */
  readonly table: readonly (readonly string[])[];
  readonly problems: readonly string[];
  readonly note?: string;
}

const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;

export function findingsText({ title, table: [head = [], ...rows], note }: Findings): string {
  const table = [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
  return [`## ${title}`, table, ...(note === undefined ? [] : [note])].join("\n\n").concat("\n");
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

/** "1", or "0 to 3" where they differ. */
export function span(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? `${least}` : `${least} to ${most}`;
}
