import { execFile, spawnSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { eventually } from "@pullring/testkit";

import { type Program, startProgram } from "./program.ts";

const execute = promisify(execFile);

const main = fileURLToPath(new URL("../../packages/cli/src/main.ts", import.meta.url));

interface ClientFile {
  readonly path: string;
  readonly contents: string;
}

/** A machine as its programs see it: this one, with files of its own in /etc, and without Docker Hub. */
export interface ClientMachine extends AsyncDisposable {
  readonly dir: string;
  /** Runs a program to its end; resolves to what it printed, rejects with all that it said. */
  run(command: string, args: readonly string[]): Promise<string>;
  start(command: string, args: readonly string[]): Program;
  /** Programs that run see the files as well. */
  write(files: readonly ClientFile[]): Promise<void>;
}

/** What `pullring client` prints, asked as anybody asks it. */
export async function printedBy(...args: readonly string[]): Promise<readonly ClientFile[]> {
  const { stdout } = await execute(process.execPath, [main, "client", ...args, "--json"], { timeout: 30_000 });
  return JSON.parse(stdout) as readonly ClientFile[];
}

/** `$0` is the machine's folder. */
const mountThenRun = 'mount -t overlay overlay -o "lowerdir=/etc,upperdir=$0/etc,workdir=$0/work" /etc && exec "$@"';

/** A pull that its mirror did not satisfy is refused here, at once: no test leaves the machine. */
const hosts =
  "127.0.0.1 localhost registry-1.docker.io docker.io index.docker.io auth.docker.io production.cloudflare.docker.com\n";

/** For a suite's `skip`: /etc can be overlaid by root only, and not on every file system. */
export function needsMachine(): string | false {
  const probe =
    'd=$(mktemp -d) && mkdir "$d/etc" "$d/work" && unshare -m sh -c "$0" "$d" true; s=$?; rm -rf "$d"; exit $s';
  const { status } = spawnSync("sh", ["-c", probe, mountThenRun], { stdio: "ignore" });
  return status === 0 ? false : "needs root, and a file system that can be overlaid";
}

/** Everything is below `dir`; what still runs ends with the machine. */
export async function makeMachine(dir: string, files: readonly ClientFile[]): Promise<ClientMachine> {
  await using stack = new AsyncDisposableStack();
  await mkdir(join(dir, "etc"), { recursive: true });
  await mkdir(join(dir, "work"));
  // Holds the one mount: an overlay's upper folder may neither be mounted twice nor be written to from outside (overlayfs.rst).
  const args = ["-m", "sh", "-c", mountThenRun, dir, "sh", "-c", "echo mounted; exec sleep infinity"];
  const holder = stack.use(startProgram({ command: "unshare", args, logFile: join(dir, "mount.log") }));
  await eventually(() => holder.logs().includes("mounted"), { timeoutMs: 10_000, intervalMs: 10 });
  const enter = ["--mount", "--target", String(holder.pid), "--"];

  const write: ClientMachine["write"] = async (more) => {
    for (const { path, contents } of more) {
      if (!path.startsWith("/etc/")) throw new Error(`${path} is not in /etc`);
      const inside = join(`/proc/${holder.pid}/root`, path);
      await mkdir(dirname(inside), { recursive: true });
      await writeFile(inside, contents);
    }
  };
  await write([{ path: "/etc/hosts", contents: hosts }, ...files]);
  const running = stack.move();
  return {
    dir,
    write,
    async run(command, rest) {
      const env = { ...process.env, TMPDIR: dir };
      const { stdout } = await execute("nsenter", [...enter, command, ...rest], { env, timeout: 40_000 });
      return stdout.trim();
    },
    start(command, rest) {
      const logFile = join(dir, `${command}.log`);
      // TERM: what it started itself it ends.
      return running.use(
        startProgram({ command: "nsenter", args: [...enter, command, ...rest], logFile, orphanSignal: "TERM" }),
      );
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
