import { performance } from "node:perf_hooks";

import type { WarmStep } from "./answers.ts";
import type { Command } from "./command.ts";
import { CommandError, exitCodes } from "./exit-codes.ts";
import { makeProgressBar } from "./progress-bar.ts";
import { bytesText } from "./table.ts";

type Summary = Extract<WarmStep, { step: "summary" }>;

export const warm: Command = {
  usage: "warm IMAGE… [--platform OS/ARCH]…",
  summary:
    "Fetches what is missing of images, so that clients find them. What is there is skipped: run it again to go on. Ctrl-C stops it.",
  examples: [
    ["pullring warm alpine:3 ghcr.io/acme/app:2.1 --token-file token", "for the platform of the node"],
    ["pullring warm postgres:17 --platform linux/amd64 --platform linux/arm64 --token-file token", "for these two"],
    ["pullring warm alpine@sha256:… --platform all --token-file token", "by digest, for every platform"],
    ["pullring warm $(cat images.txt) --json --token-file token", "one JSON document a line, the summary last"],
  ],
  options: { platform: { type: "string", multiple: true } },
  async run({ client, values, words, asJson, say }) {
    if (words.length === 0) throw new CommandError(exitCodes.usage, "what is missing: an image, such as alpine:3");
    const platforms = (values["platform"] ?? []) as string[];
    const bar = makeProgressBar(process.stderr, () => performance.now());
    // Where a bar tells how far it is, a line for each blob would only tear it.
    const isWatched = process.stderr.isTTY;
    let summary: Summary | undefined;
    try {
      await client.stream("POST", "/warm", { images: words, platforms }, (line) => {
        const step = line as WarmStep;
        if (step.step === "summary") summary = step;
        if (asJson) return say(`${JSON.stringify(step)}\n`);
        if (step.step === "progress")
          return bar.show(step.bytes / Math.max(1, step.bytesAll), `${step.blobs} of ${step.blobsAll} blobs`);
        const text = lineOf(step, isWatched);
        if (text === undefined) return undefined;
        bar.end();
        return say(`${text}\n`);
      });
    } finally {
      bar.end();
    }
    if (!summary) throw new CommandError(exitCodes.failed, "the node ended before it was done: run it again to go on");
    const code = summary.failed > 0 ? exitCodes.incomplete : exitCodes.ok;
    // As JSON each step was told when it came.
    return { answer: undefined, text: textOf(summary), code };
  },
};

function lineOf(step: WarmStep, isWatched: boolean): string | undefined {
  switch (step.step) {
    case "image":
      return `${step.image}  ${step.digest.slice(0, 19)}  ${step.blobs} blobs, ${bytesText(step.bytes)}`;
    case "failed":
      return `${step.image}  ${step.error}`;
    case "manifest":
    case "blob": {
      if (step.state !== "failed" && isWatched) return undefined;
      const what = step.step === "blob" ? bytesText(step.bytes) : (step.platform ?? "manifest");
      return `  ${step.digest.slice(0, 19)}  ${what}  ${step.state}${step.error === undefined ? "" : `: ${step.error}`}`;
    }
    case "progress":
    case "summary":
      return undefined;
  }
  return step satisfies never;
}

function textOf({ images, failed, blobs, bytes, ms }: Summary): string {
  const failures = failed > 0 ? `; ${failed} of them not whole` : "";
  const came = `${blobs.fetched} blobs came (${bytesText(bytes.fetched)})`;
  const seconds = (ms / 1000).toFixed(1);
  return `${images} ${images === 1 ? "image" : "images"}${failures}: ${came}, ${blobs.held} were there (${bytesText(bytes.held)}), ${seconds} s\n`;
}
