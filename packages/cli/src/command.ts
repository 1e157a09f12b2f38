import type { ParseArgsConfig } from "node:util";

import type { AdminClient } from "./admin-client.ts";
import type { ExitCode } from "./exit-codes.ts";

/** A verb that asks a running node. */
export interface Command {
  /** What stands behind `pullring`. */
  readonly usage: string;
  readonly summary: string;
  readonly options?: NonNullable<ParseArgsConfig["options"]>;
  /** Throws CommandError. */
  run(ask: CommandAsk): Promise<CommandEnd>;
}

export interface CommandAsk {
  readonly client: AdminClient;
  readonly values: Readonly<Record<string, unknown>>;
  readonly words: readonly string[];
}

/** A verb that asks nobody by the admin API. */
export interface LocalCommand extends Omit<Command, "run"> {
  run(ask: Omit<CommandAsk, "client">): Promise<CommandEnd>;
}

export interface CommandEnd {
  /** The node's own words, for `--json`. */
  readonly answer: unknown;
  /** The same for people. */
  readonly text: string;
  /** What people should know besides. */
  readonly note?: string;
  readonly code: ExitCode;
}
