import { setTimeout as sleep } from "node:timers/promises";

import { open, pull } from "../real/http.ts";
import type { Pullring } from "../real/pullring.ts";
import type { Random } from "../real/random.ts";
import type { SoakBlob, SoakContent } from "./content.ts";

/**
 * How one request ended. `wrong` must never be. `unverified` is a part, cut or asked for as such, that ended before the blob's last byte
 * and whose bytes are not the blob's: they came from a fill whose digest had not been checked yet, and failed later.
 */
export type Outcome = "right" | "wrong" | "unverified" | "left" | "cut" | "refused" | "down";

export interface Deed {
  readonly what: string;
  readonly outcome: Outcome;
  /** Of what was wrong. */
  readonly detail?: string;
}

interface Task {
  readonly pullring: Pullring;
  readonly content: SoakContent;
  readonly random: Random;
}

interface Reading {
  readonly headers?: Readonly<Record<string, string>>;
  /** Hangs up after so many bytes. */
  readonly bytesMax?: number;
  /** Between two chunks. */
  readonly pauseMs?: number;
}

interface Read {
  readonly status: number;
  readonly body: Buffer;
  /** The body came to its declared end, this client left, or it was cut. */
  readonly ending: "whole" | "left" | "cut";
}

/** Refusals that a client may meet while the upstream misbehaves. */
const refusals: ReadonlySet<number> = new Set([404, 429, 500, 502, 503, 504]);
const pausesMax = 40;

const urlOf = ({ url }: Pullring, { repository, digest }: SoakBlob): string =>
  `${url}/v2/${repository}/blobs/${digest}`;

async function read(url: string, { headers = {}, bytesMax = Infinity, pauseMs = 0 }: Reading = {}): Promise<Read> {
  const response = await open(url, { headers });
  const chunks: Buffer[] = [];
  let [size, pauses] = [0, 0];
  const part = (ending: Read["ending"]): Read => ({
    status: response.statusCode ?? 0,
    body: Buffer.concat(chunks),
    ending,
  });
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= bytesMax) return part("left");
      if (pauseMs > 0 && pauses++ < pausesMax) await sleep(pauseMs);
    }
    return part("whole");
  } catch {
    return part("cut");
  } finally {
    response.destroy();
  }
}

interface Part {
  readonly blob: SoakBlob;
  readonly start: number;
  readonly end: number;
}

/** Compares what came with the truth. A range may be answered by the whole. */
function judge({ content }: Task, { blob, ...asked }: Part, { status, body, ending }: Read): Outcome {
  if (refusals.has(status)) return "refused";
  const { start, end } = status === 206 ? asked : { start: 0, end: blob.size };
  const isRight = body.length <= end - start && body.equals(content.bytes(blob, start, body.length));
  if (!isRight) return start + body.length >= blob.size ? "wrong" : "unverified";
  if (ending !== "whole") return ending;
  return body.length === end - start ? "right" : "wrong";
}

async function whole(task: Task, blob: SoakBlob, reading: Reading): Promise<Deed> {
  const got = await read(urlOf(task.pullring, blob), reading);
  const outcome = judge(task, { blob, start: 0, end: blob.size }, got);
  const what = reading.pauseMs === undefined ? "whole blob" : "whole blob, slowly";
  return { what, outcome, detail: `${blob.digest}: ${got.status}, ${got.body.length} of ${blob.size}` };
}

/** Hangs up in the middle and asks for the rest, as clients do. */
async function resumed(task: Task, blob: SoakBlob): Promise<Deed> {
  const what = "hung up and resumed";
  const url = urlOf(task.pullring, blob);
  const first = await read(url, { bytesMax: 1 + task.random.below(blob.size + 1) });
  if (first.status !== 200) return { what, outcome: "refused" };
  const start = first.body.length;
  if (start >= blob.size) return { what, outcome: judge(task, { blob, start: 0, end: blob.size }, first) };
  const rest = await read(url, { headers: { range: `bytes=${start}-` } });
  const outcome = judge(task, { blob, start, end: blob.size }, rest);
  return { what, outcome, detail: `${blob.digest} from ${start}: ${rest.status}, ${rest.body.length} of ${blob.size}` };
}

async function ranged(task: Task, blob: SoakBlob): Promise<Deed> {
  const { random } = task;
  const start = random.below(Math.max(1, blob.size));
  const end = start + 1 + random.below(Math.max(1, blob.size - start));
  const [range, from, to] = random.pick([
    [`bytes=${start}-${end - 1}`, start, Math.min(end, blob.size)],
    [`bytes=${start}-`, start, blob.size],
    [`bytes=-${end - start}`, Math.max(0, blob.size - (end - start)), blob.size],
  ] as const);
  const got = await read(urlOf(task.pullring, blob), { headers: { range } });
  const isRefusedRightly = got.status === 416 && blob.size === 0;
  const outcome = isRefusedRightly ? "right" : judge(task, { blob, start: from, end: to }, got);
  return { what: "range", outcome, detail: `${blob.digest} ${range}: ${got.status}, ${got.body.length}` };
}

async function headed(task: Task, blob: SoakBlob): Promise<Deed> {
  const { status, headers } = await pull(urlOf(task.pullring, blob), { method: "HEAD" });
  const isRight = Number(headers["content-length"]) === blob.size && headers["docker-content-digest"] === blob.digest;
  const outcome = status !== 200 ? "refused" : isRight ? "right" : "wrong";
  return { what: "HEAD of a blob", outcome, detail: `${blob.digest}: ${JSON.stringify(headers)}` };
}

async function tagged({ pullring, content, random }: Task): Promise<Deed> {
  const { repository, tag, digest: wanted } = random.pick(content.images);
  const { status, digest } = await pull(`${pullring.url}/v2/${repository}/manifests/${tag}`);
  const outcome = status !== 200 ? "refused" : digest === wanted ? "right" : "wrong";
  return { what: "manifest by tag", outcome, detail: `${repository}:${tag} is ${digest}` };
}

/** One thing that clients do, drawn at random. A node that is down meanwhile is no fault of it. */
export async function act(task: Task): Promise<Deed> {
  const blob = task.random.pick(task.content.blobs);
  const deed = task.random.pick([
    () => whole(task, blob, {}),
    () => whole(task, blob, { bytesMax: 1 + task.random.below(blob.size + 1) }),
    () => whole(task, blob, { pauseMs: 25 }),
    () => resumed(task, blob),
    () => ranged(task, blob),
    () => headed(task, blob),
    () => tagged(task),
  ]);
  try {
    return await deed();
  } catch {
    return { what: "any", outcome: task.pullring.isRunning ? "cut" : "down" };
  }
}
