const line = /^([\w!#$%&'*+.^`|~-]{1,256}):[ \t]*([\x20-\x7e]{1,4096})$/;
const linesMax = 32;

/** Lines of `Name: value`, empty ones between them. Throws without a word of what they hold. */
export function parseHeaderLines(text: string): Record<string, string> {
  const lines = text.split(/\r?\n/).map((raw) => raw.trim());
  const found = lines.flatMap((raw, at) => {
    if (raw === "") return [];
    const [, name, value] = line.exec(raw) ?? [];
    if (name === undefined || value === undefined) throw new Error(`line ${at + 1} is no "Name: value"`);
    return [[name, value] as const];
  });
  if (found.length > linesMax) throw new Error(`more than ${linesMax} headers`);
  return Object.fromEntries(found);
}
