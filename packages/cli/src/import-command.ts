import { performance } from "node:perf_hooks";

import type { AdoptedPlace, AdoptSummary } from "@pullring/server";

import type { LocalCommand } from "./command.ts";
import { CommandError, exitCodes } from "./exit-codes.ts";
import { makeProgressBar } from "./progress-bar.ts";
import { bytesText } from "./table.ts";
import { one } from "./words.ts";

export const importCommand: LocalCommand = {
  usage: "import FOLDER | s3://BUCKET[/PREFIX] [--upstream NAME] [--config FILE] [--link] [--public]",
  summary:
    "Takes over what a Distribution registry (registry:2) keeps as a cache. The node must be stopped. --link: hard links instead of copies; --public: it had no account, so anybody may have the bytes; --endpoint, --region, --path-style: where the bucket is.",
  options: {
    config: { type: "string" },
    upstream: { type: "string", default: "docker.io" },
    link: { type: "boolean" },
    public: { type: "boolean" },
    endpoint: { type: "string" },
    region: { type: "string" },
    "path-style": { type: "boolean" },
  },
  async run({ values, words }) {
    const from = placeOf(one(words, "where the registry keeps its files: a folder, or s3://BUCKET"), values);
    const { adoptRegistry, ConfigError, StartError } = await import("@pullring/server");
    const bar = makeProgressBar(process.stderr, () => performance.now());
    try {
      const answer = await adoptRegistry({
        from,
        config: values["config"] as string | undefined,
        upstream: values["upstream"] as string,
        mayLink: values["link"] === true,
        isPublic: values["public"] === true,
        onProgress: ({ blobs, blobsAll, bytes, bytesAll }) =>
          bar.show(bytes / Math.max(1, bytesAll), `${blobs} of ${blobsAll} blobs, ${bytesText(bytes)}`),
      });
      return end(answer);
    } catch (error) {
      if (error instanceof ConfigError || error instanceof StartError)
        throw new CommandError(exitCodes.usage, error.message);
      if (error instanceof CommandError) throw error;
      throw new CommandError(exitCodes.failed, `import ended early, run it again to go on: ${String(error)}`);
    } finally {
      bar.end();
    }
  },
};

function placeOf(word: string, values: Readonly<Record<string, unknown>>): AdoptedPlace {
  const [, bucket, prefix = ""] = /^s3:\/\/([^/]+)\/?(.*?)\/?$/.exec(word) ?? [];
  if (bucket === undefined) return { folder: word };
  return {
    bucket,
    prefix,
    endpoint: values["endpoint"] as string | undefined,
    region: values["region"] as string | undefined,
    forcePathStyle: values["path-style"] === true,
  };
}

function end(answer: AdoptSummary) {
  const { blobs, bytes, repositories, manifests, tags, leftOut } = answer;
  const text = [
    `${blobs.copied + blobs.linked} blobs came (${bytesText(bytes)}): ${blobs.copied} copied, ${blobs.linked} linked; ${blobs.held} were here`,
    `${manifests} manifests and ${tags} tags of ${repositories} repositories`,
    ...(blobs.full > 0 ? [`${blobs.full} blobs did not fit: raise storage.disk.size and run it again`] : []),
    ...(blobs.wrong > 0 ? [`${blobs.wrong} blobs did not hash to their digest and were left out`] : []),
    ...(leftOut > 0
      ? [`${leftOut} manifests or tags were left out: their bytes are not here, or they are of schema 1`]
      : []),
  ];
  const found = blobs.copied + blobs.linked + blobs.held + blobs.full + blobs.wrong;
  if (found === 0) throw new CommandError(exitCodes.usage, "there is nothing below docker/registry/v2/blobs");
  const isWhole = blobs.full === 0 && blobs.wrong === 0;
  return { answer, text: `${text.join("\n")}\n`, code: isWhole ? exitCodes.ok : exitCodes.incomplete };
}
