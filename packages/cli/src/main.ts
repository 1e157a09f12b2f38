#!/usr/bin/env node
import { parseArgs } from "node:util";

import { serve } from "./serve.ts";

const usage = `pullring: a pull-through cache for container images

Usage:
  pullring serve [--config FILE]   Run a cache node. Without a file: Docker Hub on 0.0.0.0:5000, disk in ./data.
  pullring --help | --version

Every setting can also come from the environment: PULLRING_STORAGE__MEMORY=1GiB sets storage.memory.
`;

/** Exit codes: 0 done, 1 it failed while running, 2 it was called or configured wrongly. */
async function main(args: readonly string[]): Promise<number> {
  const [verb, ...rest] = args;
  if (verb === "--help" || verb === "-h" || verb === "help") return print(usage, 0);
  if (verb === "--version") return print("pullring 0.1.0\n", 0);
  if (verb !== "serve") return print(usage, 2);
  try {
    const { values } = parseArgs({ args: rest, options: { config: { type: "string" } } });
    return await serve(values.config);
  } catch (error) {
    if (!(error instanceof TypeError) || !("code" in error)) throw error;
    process.stderr.write(`${error.message}\n\n`);
    return print(usage, 2);
  }
}

function print(text: string, code: number): number {
  (code === 0 ? process.stdout : process.stderr).write(text);
  return code;
}

process.exitCode = await main(process.argv.slice(2));
