import { isSecret, pathText, quoted, withoutCredentials, type Path } from "./path.ts";

/** One thing that is wrong, complete enough to be put right without a look at the documentation. */
export interface Problem {
  /** `storage.disk.size`; the variable's or the file's name when it is not about a key. */
  readonly key: string;
  /** `pullring.yaml:4:11` or `PULLRING_STORAGE__DISK__SIZE`; absent for a default and for what is not there. */
  readonly where?: string;
  readonly found: string;
  readonly allowed: string;
}

/** The same, before anybody has looked where it stands. */
export interface Finding {
  readonly path: Path;
  readonly found: string;
  readonly allowed: string;
}

const line = ({ key, where, found, allowed }: Problem): string =>
  `${key === "" ? "the document" : key}${where === undefined || where === key ? "" : ` (${where})`}: found ${found}; allowed: ${allowed}`;

/** Everything that is wrong with a configuration, at once. Its text holds no secret, and it has no cause that could. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const count = problems.length === 1 ? "a problem" : `${problems.length} problems`;
    super(`The configuration has ${count}:\n${problems.map((problem) => `  ${line(problem)}\n`).join("")}`.trimEnd());
    this.problems = problems;
  }
}

/** What kind of value it is, without the value. */
export function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "an empty value";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object") return "a map";
  if (value === "") return "empty text";
  return typeof value === "string" ? "text" : `a ${typeof value}`;
}

/** A value in the words of a message. Secrets are not shown, nor what may hide inside maps, lists and URLs. */
export function shown(path: Path, value: unknown): string {
  if (isSecret(path)) return value === "" || typeof value !== "string" ? kindOf(value) : "text that is not shown";
  if (typeof value === "string") return quoted(withoutCredentials(value));
  return typeof value === "number" || typeof value === "boolean" ? `${value} (${kindOf(value)})` : kindOf(value);
}

export function problemOf({ path, found, allowed }: Finding, where: string | undefined): Problem {
  return { key: pathText(path), ...(where === undefined ? {} : { where }), found, allowed };
}
