import type { Path } from "./path.ts";
import type { Settings } from "./schema.ts";

export type Report = (path: Path, found: string, allowed: string) => void;

/** What no value is wrong by itself for. A rule runs only when all that it reads is sound, else it would report echoes. */
export interface Rule {
  readonly reads: readonly (keyof Settings)[];
  readonly check: (settings: Settings, report: Report) => void;
}

interface SecretPair {
  readonly path: Path;
  readonly name: string;
  readonly given: object;
}

/** How many of a secret and its `…File` twin are given; both are reported. */
export function countSecrets({ path, name, given }: SecretPair, report: Report): number {
  const twins = [name, `${name}File`];
  const count = twins.filter((key) => Reflect.get(given, key) !== undefined).length;
  if (count > 1) report(path, "both of them", twins.join(" or "));
  return count;
}
