import { type Sample, scrape } from "./metrics.ts";

type Labels = Readonly<Record<string, string>>;

/** Which series of some nodes have ever had another value than at the start, when one that was not there was 0. */
export interface Movements {
  look(): Promise<void>;
  has(name: string, labels?: Labels): boolean;
  /** All that were seen, moved or not. */
  series(): readonly Sample[];
}

interface Seen {
  readonly sample: Sample;
  readonly first: number;
  hasMoved: boolean;
}

/** Nodes that do not answer are passed over: they are gone. */
export async function watchMetrics(nodes: readonly { readonly adminUrl: string }[]): Promise<Movements> {
  const seen = new Map<string, Seen>();
  let isFirst = true;

  async function look(): Promise<void> {
    const scraped = await Promise.all(
      nodes.map((node) =>
        scrape(node).then(
          ({ samples }) => ({ node, samples }),
          () => ({ node, samples: [] }),
        ),
      ),
    );
    for (const { node, samples } of scraped) for (const sample of samples) note(node.adminUrl, sample);
    isFirst = false;
  }

  function note(node: string, sample: Sample): void {
    const key = `${node} ${sample.name} ${JSON.stringify(sample.labels)}`;
    const known = seen.get(key) ?? { sample, first: isFirst ? sample.value : 0, hasMoved: false };
    known.hasMoved ||= sample.value !== known.first;
    seen.set(key, known);
  }

  await look();
  const carries = ({ labels }: Sample, wanted: Labels): boolean =>
    Object.entries(wanted).every(([key, value]) => labels[key] === value);
  return {
    look,
    has: (name, labels = {}) =>
      [...seen.values()].some(({ sample, hasMoved }) => hasMoved && sample.name === name && carries(sample, labels)),
    series: () => [...seen.values()].map(({ sample }) => sample),
  };
}
