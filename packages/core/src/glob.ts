const parts: Readonly<Record<string, string>> = { "/**": "(?:/.*)?", "**": ".*", "*": "[^/:]*" };

/**
 * Compiles a pattern over `repository`, `upstream/repository` or `upstream/repository:tag`: `*` stands for any run of characters
 * without `/` and `:`, `**` for any run at all, everything else for itself. A trailing `/**` also matches what
 * stands before it. Anchored at both ends.
 */
export function globMatcher(pattern: string): (text: string) => boolean {
  const source = pattern.replace(/\/\*\*$|\*\*|\*|[\\^$.|?+()[\]{}]/g, (found) => parts[found] ?? `\\${found}`);
  const grammar = new RegExp(`^${source}$`, "s");
  return (text) => grammar.test(text);
}
