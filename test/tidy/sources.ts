import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Source {
  /** Path from the repository's root. */
  readonly path: string;
  readonly text: string;
}

/** Files of the work tree that git tracks or would track. */
export function files(...patterns: readonly string[]): Source[] {
  const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "--", ...patterns], { cwd: root });
  return listed
    .toString()
    .split("\n")
    .filter((path) => path !== "")
    .flatMap((path) => {
      try {
        return [{ path, text: readFileSync(`${root}${path}`, "utf8") }];
      } catch {
        return []; // Deleted in the work tree, not yet in the index.
      }
    });
}

export const isTest = ({ path }: Source): boolean =>
  /(?:\.test\.ts$|^test\/|^packages\/testkit\/|^scripts\/)/.test(path);
export const packageOf = ({ path }: Source): string => path.split("/")[1] ?? "";
