import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** More than one sample of a cold fill writes. */
const bytes = 1_000_000_000;

/**
 * Has the machine hold memory that the page cache can take at once. A virtual machine gives free memory back to its host and must fetch
 * it again when it is written: up to 4 ms for each MB where this was measured, which is three times what the whole fill costs otherwise.
 */
export async function backMemory(dir: string): Promise<void> {
  const path = join(dir, "ballast");
  const chunk = Buffer.alloc(1_000_000);
  await writeFile(
    path,
    (function* () {
      for (let written = 0; written < bytes; written += chunk.length) yield chunk;
    })(),
  );
  await rm(path);
}
