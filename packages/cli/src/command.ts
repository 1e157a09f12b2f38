import type { ParseArgsConfig } from "node:util";

import type { AdminClient } from "./admin-client.ts";
import type { ExitCode } from "./exit-codes.ts";

/** A verb that asks a running node. */
export interface Command {
  /** What stands behind `pullring`. */
  readonly usage: string;
  readonly summary: string;
  /** Command lines and what each is for, to be learnt from. */
  readonly examples?: readonly (readonly [line: string, what: string])[];
  readonly options?: NonNullable<ParseArgsConfig["options"]>;
  /** Throws CommandError. */
  run(ask: CommandAsk): Promise<CommandEnd>;
}

export interface CommandAsk {
  readonly client: AdminClient;
  readonly values: Readonly<Record<string, unknown>>;
  readonly words: readonly string[];
  readonly asJson: boolean;
  /** Says what is known before the end. */
  readonly say: (text: string) => void;
}

/** A verb that asks nobody by the admin API. */
export interface LocalCommand extends Omit<Command, "run"> {
  run(ask: Pick<CommandAsk, "values" | "words">): Promise<CommandEnd>;
}

export interface CommandEnd {
  /** The node's own words, for `--json`; undefined = they are said already. */
  readonly answer: unknown;
  /** The same for people. */
  readonly text: string;
  /** What people should know besides. */
  readonly note?: string;
  readonly code: ExitCode;
}
