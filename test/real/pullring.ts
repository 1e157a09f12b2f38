import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { Hub } from "@pullring/testkit";

import { compileCache } from "./compile-cache.ts";
import { freePort, whenListening } from "./listening.ts";
import { type Program, startProgram } from "./program.ts";
import { cpuSec, rssBytes, rssPeakBytes } from "./proc.ts";

const main = fileURLToPath(new URL("../../packages/cli/src/main.ts", import.meta.url));

type Section = Readonly<Record<string, unknown>>;

export interface PullringOptions {
  /** Configuration, log and disk. One that is started there again finds what the last one kept. */
  readonly dir: string;
  /** Whatever the configuration file may say; addresses and the disk's path are set here. */
  readonly config?: Section;
  /** Addresses for clients and for the admin API; default free ones. */
  readonly host?: string;
  readonly adminHost?: string;
}

export interface Pullring extends Program {
  readonly url: string;
  readonly host: string;
  readonly adminUrl: string;
  /** The disk's root. */
  readonly disk: string;
  rssBytes(): number;
  rssPeakBytes(): number;
  cpuSec(): number;
}

/** The hub simulator as somebody's Docker Hub. */
export const asDockerHub = (hub: Pick<Hub, "url" | "tokenOrigin">): Section => ({
  "docker.io": { url: hub.url, tokenOrigins: [hub.tokenOrigin], allowPrivateAddresses: true },
});

/** Pullring as its command line starts it, ready. */
export async function startPullring({ dir, config = {}, ...at }: PullringOptions): Promise<Pullring> {
  const host = at.host ?? `127.0.0.1:${await freePort()}`;
  const listen = at.adminHost ?? `127.0.0.1:${await freePort()}`;
  const storage = (config["storage"] ?? {}) as Section;
  const disk = { size: "20GiB", ...(storage["disk"] as Section | undefined), path: join(dir, "disk") };
  const file = join(dir, "pullring.yaml");
  await mkdir(dir, { recursive: true });
  // JSON is YAML.
  const admin = { ...(config["admin"] as Section | undefined), listen };
  const whole = { ...config, listen: host, admin, storage: { ...storage, disk } };
  await writeFile(file, JSON.stringify(whole, null, 2));
  const program = startProgram({
    command: process.execPath,
    args: [main, "serve", "--config", file],
    env: { NODE_COMPILE_CACHE: compileCache },
    logFile: join(dir, "log"),
  });
  const adminUrl = `http://${listen}`;
  await whenListening(program, { url: `${adminUrl}/readyz`, isReady: (status) => status === 200 });
  return Object.assign(program, {
    url: `${config["tls"] === undefined ? "http" : "https"}://${host}`,
    host,
    adminUrl,
    disk: disk.path,
    rssBytes: () => rssBytes(program.pid),
    rssPeakBytes: () => rssPeakBytes(program.pid),
    cpuSec: () => cpuSec(program.pid),
  });
}
