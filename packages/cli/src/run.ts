import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";

import { makeAdminClient } from "./admin-client.ts";
import { cache } from "./cache-command.ts";
import { cacheCommands } from "./cache-commands.ts";
import { client } from "./client/client-command.ts";
import type { Command, CommandEnd, LocalCommand } from "./command.ts";
import { config } from "./config-command.ts";
import { doctor } from "./doctor/doctor-command.ts";
import { CommandError, exitCodes, type ExitCode } from "./exit-codes.ts";
import { helpFor, summaryLines } from "./help.ts";
import { images } from "./images-command.ts";
import { importCommand } from "./import-command.ts";
import { ledger } from "./ledger/ledger-command.ts";
import { quotaCommands } from "./quota-command.ts";
import { ringCommands } from "./ring-commands.ts";
import { warm } from "./warm-command.ts";

/** Where the command speaks. */
export interface Output {
  out(text: string): void;
  err(text: string): void;
}

const commands: ReadonlyMap<string, Command> = new Map(
  Object.entries({ ...ringCommands, ...quotaCommands, cache, images, ...cacheCommands, warm, config }),
);

const localCommands: ReadonlyMap<string, LocalCommand> = new Map(
  Object.entries({ client, doctor, import: importCommand, ledger }),
);

const adminDefault = "http://127.0.0.1:5001";

const asking = `  --admin URL        the node's admin address, default ${adminDefault}
  --token-file FILE  holds the admin token: changes need it, and everything on another host
  --json             the node's answer as it is
`;

const serveWords = {
  usage: "serve [--config FILE]",
  summary: `Run a cache node. Without a file: Docker Hub on 0.0.0.0:5000, disk in ./data. In a checkout: npm start -- --config FILE
      Every setting can also come from the environment: PULLRING_STORAGE__MEMORY=1GiB sets storage.memory.`,
};

const usage = `pullring: a pull-through cache for container images

Usage:
${summaryLines([serveWords, ...localCommands.values()])}
These ask a running node:
${summaryLines(commands.values())}
${asking}
  pullring --help | --version
  pullring VERB --help   one verb, with examples

Exit codes:
  0  done
  1  the node or the command failed
  2  called or configured wrongly, or what was asked for makes no sense
  3  the node can't be reached
  4  refused: the token is missing or wrong, or the node takes no changes
  5  done, but not everybody that it concerns could be reached
`;

/** Runs one command line. Never rejects for what somebody did wrong. */
export async function run(args: readonly string[], output: Output): Promise<ExitCode> {
  const [verb = "", ...rest] = args;
  try {
    if (["--help", "-h", "help"].includes(verb) || rest.includes("--help")) return help(verb, rest, output);
    if (verb === "--version") return say(output, "pullring 0.1.0\n");
    if (verb === "serve") {
      const { values } = parseArgs({ args: rest, options: { config: { type: "string" } } });
      // Loaded here, so that a question to a node does not wait for the parts of one.
      const { serve } = await import("./serve.ts");
      return await serve(values.config);
    }
    const command = commands.get(verb);
    if (command) return await ask(command, rest, output);
    const local = localCommands.get(verb);
    if (local) return await runHere(local, rest, output);
    if (verb !== "")
      throw new CommandError(exitCodes.usage, `there is no verb "${verb}": pullring --help has them all`);
    output.err(usage);
    return exitCodes.usage;
  } catch (error) {
    return fail(error, verb, output);
  }
}

/** `pullring VERB --help` and `pullring help VERB` tell of one verb, all else of everything. */
function help(verb: string, rest: readonly string[], output: Output): ExitCode {
  const named = verb === "help" ? (rest[0] ?? "") : verb;
  const command = commands.get(named);
  const local = named === "serve" ? serveWords : localCommands.get(named);
  if (command) return say(output, helpFor(command, asking));
  return say(output, local ? helpFor(local, "") : usage);
}

async function ask(command: Command, args: readonly string[], output: Output): Promise<ExitCode> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      ...command.options,
      admin: { type: "string", default: adminDefault },
      "token-file": { type: "string" },
      json: { type: "boolean" },
    },
  });
  const { admin, "token-file": tokenFile } = values as { admin: string; "token-file"?: string };
  const token = tokenFile === undefined ? undefined : await readToken(tokenFile);
  const asked = makeAdminClient({ url: admin, token });
  const asJson = "json" in values;
  const say = (text: string): void => output.out(text);
  return end(await command.run({ client: asked, values, words: positionals, asJson, say }), asJson, output);
}

async function runHere(command: LocalCommand, args: readonly string[], output: Output): Promise<ExitCode> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { ...command.options, json: { type: "boolean" } },
  });
  return end(await command.run({ values, words: positionals }), "json" in values, output);
}

function end({ answer, text, note, code }: CommandEnd, asJson: boolean, output: Output): ExitCode {
  if (!asJson) output.out(text);
  else if (answer !== undefined) output.out(`${JSON.stringify(answer, null, 2)}\n`);
  if (note !== undefined) output.err(`${note}\n`);
  return code;
}

async function readToken(file: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).replace(/\r?\n$/, "");
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    throw new CommandError(exitCodes.usage, `--token-file: ${file} can't be read (${reason})`);
  }
}

function say(output: Output, text: string): ExitCode {
  output.out(text);
  return exitCodes.ok;
}

function fail(error: unknown, verb: string, output: Output): ExitCode {
  if (error instanceof CommandError) {
    output.err(`pullring: ${error.message}\n`);
    return error.code;
  }
  // What parseArgs throws for options that it does not know, with advice that fits no verb here.
  if (!(error instanceof TypeError) || !("code" in error)) throw error;
  const words = commands.get(verb) ?? localCommands.get(verb) ?? serveWords;
  output.err(
    `pullring: ${error.message.replace(/\. To specify a positional.*$/s, "")}\n\nUsage:\n${summaryLines([words])}`,
  );
  return exitCodes.usage;
}
