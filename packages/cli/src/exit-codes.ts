/** What the command ends with. They are documented: scripts hang on them. */
export const exitCodes = {
  ok: 0,
  /** The node, or this command, failed. */
  failed: 1,
  /** Called or configured wrongly; what was asked for makes no sense. */
  usage: 2,
  /** No answer from the admin address. */
  unreachable: 3,
  /** The token is missing or wrong, or the node takes no changes. */
  refused: 4,
  /** Done, but not everybody that it concerns could be reached: nodes, S3, Redis. */
  incomplete: 5,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** Ends the command with this code; the message is for whoever called it. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly code: ExitCode;

  constructor(code: ExitCode, message: string) {
    super(message);
    this.code = code;
  }
}
