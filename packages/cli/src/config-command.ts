import type { Command } from "./command.ts";
import { exitCodes } from "./exit-codes.ts";
import { none } from "./words.ts";

export const config: Command = {
  usage: "config",
  summary: "The configuration that is in effect on the node, defaults and environment included; secrets are ***.",
  examples: [
    ["pullring config", "as YAML, in the words of a configuration file"],
    ["pullring config --json | jq .storage", "one section of it"],
  ],
  async run({ client, words }) {
    none(words);
    const answer = await client.call("GET", "/config");
    // Loaded here, so that the other verbs do not wait for it.
    const { stringify } = await import("yaml");
    return { answer, text: stringify(answer, { lineWidth: 120 }), code: exitCodes.ok };
  },
};
