/** The text as a YAML literal block of that depth (YAML 1.2 §8.1.2): its lines may hold anything. */
export const indented = (text: string, depth: number): string =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => (line === "" ? "" : `${" ".repeat(depth)}${line}`))
    .join("\n");
