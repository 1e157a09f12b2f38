import { needsS3 } from "../real/s3.ts";
import { tallied } from "./promises-clients.ts";
import { type Findings, seconds } from "./promises-table.ts";
import { problemsOf, type Rolled, rollingRestart } from "./rolling-restart.ts";

const courses = [
  { nodes: 5, rounds: 3, perSec: 60, s3: false },
  { nodes: 5, rounds: 3, perSec: 60, s3: true },
] as const;

type Course = (typeof courses)[number];

const nameOf = ({ nodes, rounds, s3 }: Course): string => `${nodes} nodes × ${rounds}${s3 ? " with S3" : ""}`;

const rowOf = (course: Course, { result, blobs, fetchedAgain, tookMs }: Rolled): readonly string[] => [
  nameOf(course),
  `${result.perSec.toFixed(0)}/s`,
  `${result.right}`,
  `${result.retried}`,
  `${result.failures.length}`,
  `${blobs}`,
  `${fetchedAgain.size}`,
  `${seconds(Math.min(...tookMs))} to ${seconds(Math.max(...tookMs))}`,
];

/** Every node in turn, several times over, under pulls. */
export async function rollingRestarts(): Promise<Findings> {
  const head = ["", "pulled at", "pulls", "retried", "failed twice", "blobs", "fetched again", "a node took"];
  const table: (readonly string[])[] = [head];
  const problems: string[] = [];
  const skipped = needsS3();
  for (const course of courses.filter(({ s3 }) => !s3 || skipped === false)) {
    const rolled = await rollingRestart(course);
    table.push(rowOf(course, rolled));
    const { retried, firstFailures } = rolled.result;
    if (retried > 0) process.stderr.write(`${nameOf(course)}, retried: ${tallied(firstFailures)}\n`);
    problems.push(...problemsOf(rolled).map((problem) => `rolling restart, ${nameOf(course)}: ${problem}`));
  }
  const note = skipped === false ? {} : { note: `Without S3: ${skipped}.` };
  return { title: "Nodes are restarted in turn while images are pulled", table, problems, ...note };
}
