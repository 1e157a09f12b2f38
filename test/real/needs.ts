import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Debian keeps servers where an ordinary PATH does not look. */
const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export const findTool = (name: string): string | undefined =>
  folders.map((folder) => join(folder, name)).find(isExecutable);

/**
 * For a suite's `skip`: false when every tool is here, else a text that names the missing ones. Under CI=true a suite may
 * not be missing unnoticed, so there it throws.
 */
export function needs(...tools: readonly string[]): string | false {
  const missing = tools.filter((tool) => findTool(tool) === undefined);
  if (missing.length === 0) return false;
  const text = `needs ${missing.join(" and ")} (scripts/install-tools.sh installs it)`;
  if (process.env["CI"] === "true") throw new Error(text);
  return text;
}
