import { repositoryKey, type PurgeOrder } from "@pullring/core";
import type * as z from "zod";

import { redacted } from "../config/index.ts";
import { configAnswer, fillsAnswer, purgeAnswer } from "./answers.ts";
import type { AdminCall, AdminFacts } from "./call.ts";
import { parseBlob, parseImage } from "./image-key.ts";
import { isSelfOnly, node, togetherOf } from "./whole-cluster.ts";

export function cacheCalls(facts: AdminFacts): readonly AdminCall[] {
  const { config, names } = facts;
  return [
    {
      method: "GET",
      path: "/fills",
      summary: "The fills that run now",
      changes: false,
      parameters: [node],
      answer: fillsAnswer,
      async run({ parameter }): Promise<z.output<typeof fillsAnswer>> {
        const { rows, missing } = await togetherOf(facts.ring, facts.fills, isSelfOnly(parameter("node")));
        return { fills: rows, missing };
      },
    },
    {
      method: "DELETE",
      path: "/blobs/{digest}",
      summary: "Removes a blob or a manifest from every node and from S3",
      changes: true,
      parameters: [{ name: "digest", in: "path", required: true, description: "sha256:… or sha512:…" }],
      answer: purgeAnswer,
      run: ({ parameter }) => {
        const digest = parseBlob(parameter("digest"));
        return purge(facts, digest, { digest });
      },
    },
    {
      method: "DELETE",
      path: "/images/{image*}",
      summary: "Removes a tag, or all tags of a repository, from every node and from S3",
      changes: true,
      parameters: [{ name: "image", in: "path", required: true, description: "upstream/repo:tag, or upstream/repo" }],
      answer: purgeAnswer,
      run: ({ parameter }) => {
        const { repository, tag } = parseImage(parameter("image"), names);
        const name = repositoryKey(repository);
        return purge(facts, tag === undefined ? name : `${name}:${tag}`, {
          repository,
          ...(tag === undefined ? {} : { tag }),
        });
      },
    },
    {
      method: "GET",
      path: "/config",
      summary: "The effective configuration of this node, secrets as ***",
      changes: false,
      answer: configAnswer,
      run: () => redacted(config),
    },
  ];
}

async function purge(
  { purger, clock }: AdminFacts,
  purged: string,
  what: Omit<PurgeOrder, "atMs">,
): Promise<z.output<typeof purgeAnswer>> {
  const atMs = clock.now();
  const { reached, missing, shared } = await purger.purge({ ...what, atMs });
  return {
    purged,
    at: new Date(atMs).toISOString(),
    nodes: reached.map((node) => ({ node })),
    s3: shared,
    missing: [...missing],
  };
}
