// Installs what package-lock.json names when node_modules is missing or older than it, so that `npm start` and
// `npm test` work on a fresh clone. Plain JavaScript: it runs on the system's own Node (20 or newer) before Node 24 is here.
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const writtenAt = (path) => statSync(`${root}${path}`, { throwIfNoEntry: false })?.mtimeMs ?? 0;

// npm writes node_modules/.package-lock.json last, so an interrupted install counts as none.
if (writtenAt("node_modules/.package-lock.json") < writtenAt("package-lock.json")) {
  process.stderr.write("installs what package-lock.json names; this takes about a minute …\n");
  const { status } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: "inherit",
  });
  process.exit(status ?? 1);
}
