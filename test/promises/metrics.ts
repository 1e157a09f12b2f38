import { ask } from "@pullring/testkit";

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const sampleGrammar = /^(\w+)(?:\{(.*)\})? (\S+)$/;
const labelGrammar = /(\w+)="((?:[^"\\]|\\.)*)"/g;

function parseSample(line: string): Sample {
  const [, name = "", labels = "", value] = sampleGrammar.exec(line) ?? [];
  if (name === "") throw new Error(`not a sample: ${line}`);
  const pairs = [...labels.matchAll(labelGrammar)].map(([, key = "", text = ""]) => [key, text] as const);
  return { name, labels: Object.fromEntries(pairs), value: Number(value) };
}

/** What /metrics tells, as numbers that can be added. */
export async function scrape({ adminUrl }: { readonly adminUrl: string }) {
  const { body } = await ask(`${adminUrl}/metrics`);
  const text = body.toString();
  const samples = text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map(parseSample);
  const matching = (name: string, labels: Readonly<Record<string, string>> = {}): readonly Sample[] =>
    samples.filter(
      (sample) => sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
    );
  return {
    text,
    samples: samples as readonly Sample[],
    matching,
    /** Over all samples that carry these labels; 0 where there is none. */
    sum: (name: string, labels?: Readonly<Record<string, string>>): number =>
      matching(name, labels).reduce((sum, { value }) => sum + value, 0),
  };
}
