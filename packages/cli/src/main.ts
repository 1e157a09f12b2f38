#!/usr/bin/env node
import { run } from "./run.ts";

const args = process.argv.slice(2);
process.exitCode = await run(args, {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
});
// A node that could not start may have begun to listen to Redis or to its peers: nobody would ever end that.
if (args[0] === "serve" && process.exitCode !== 0) process.exit();
