import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

import type { Check, Finding } from "@pullring/server";

export interface LocalClientsOptions {
  /** Where clients have their configuration; `/etc` but for tests. */
  readonly etc?: string;
  /** The mirror that they should use; absent = any. */
  readonly mirror?: { readonly origin: string; readonly host: string } | undefined;
}

/** The container clients that are set up on this machine: do they use the mirror? */
export async function localClientChecks({ etc = "/etc", mirror }: LocalClientsOptions): Promise<readonly Check[]> {
  const has = async (folder: string): Promise<boolean> => (await namesIn(join(etc, folder))) !== undefined;
  const checks: Check[] = [];
  if (await has("docker")) checks.push({ name: "Docker here", run: () => dockerHere(etc, mirror) });
  if (await has("containerd")) checks.push({ name: "containerd here", run: () => containerdHere(etc, mirror) });
  if (await has("containers")) checks.push({ name: "podman here", run: () => podmanHere(etc, mirror) });
  return checks;
}

type Mirror = LocalClientsOptions["mirror"];

async function dockerHere(etc: string, mirror: Mirror): Promise<Finding> {
  const file = join(etc, "docker/daemon.json");
  const text = await textOf(file);
  if (text === undefined) return unused("docker", `there is no ${file}`, mirror);
  let mirrors: unknown;
  try {
    mirrors = (JSON.parse(text) as Record<string, unknown> | null)?.["registry-mirrors"] ?? [];
  } catch (error) {
    const found = `${file} is no JSON: ${(error as Error).message}`;
    return { status: "fail", found, advice: "the engine does not start with it: dockerd --validate" };
  }
  const listed = Array.isArray(mirrors) ? mirrors.map((url) => String(url).replace(/\/+$/, "")) : [];
  return judge("docker", { file, listed, wanted: mirror?.origin, mirror });
}

async function containerdHere(etc: string, mirror: Mirror): Promise<Finding> {
  const files = ["docker.io", "_default"].map((name) => join(etc, "containerd/certs.d", name, "hosts.toml"));
  const texts = await Promise.all(files.map(textOf));
  const at = texts.findIndex((text) => text !== undefined);
  if (at < 0) return unused("containerd", `there is no ${files[0]}`, mirror);
  const listed = matches(texts[at] ?? "", /^\s*\[\s*host\s*\.\s*["']([^"']+)["']\s*\]/gm);
  const judged = judge("containerd", { file: files[at] ?? "", listed, wanted: mirror?.origin, mirror });
  const config = await textOf(join(etc, "containerd/config.toml"));
  // containerd 2 looks into certs.d by itself when its configuration says nothing.
  if (judged.status !== "ok" || config === undefined || /^\s*config_path\s*=\s*["'][^"']*certs\.d/m.test(config))
    return judged;
  return {
    status: "warn",
    found: `${judged.found}; but ${join(etc, "containerd/config.toml")} has no config_path`,
    advice: `Kubernetes pulls past it: set config_path to ${join(etc, "containerd/certs.d")} (docs/clients/containerd.md)`,
  };
}

async function podmanHere(etc: string, mirror: Mirror): Promise<Finding> {
  const folder = join(etc, "containers/registries.conf.d");
  const dropIns = ((await namesIn(folder)) ?? [])
    .filter((name) => name.endsWith(".conf"))
    .map((name) => join(folder, name));
  const files = [join(etc, "containers/registries.conf"), ...dropIns];
  const texts = await Promise.all(files.map(textOf));
  // Tables of TOML end where the next one begins.
  const tables = texts.flatMap((text) => (text ?? "").split(/^\s*(?=\[)/m));
  const mirrors = tables.filter((table) => table.startsWith("[[registry.mirror]]"));
  const listed = mirrors.flatMap((table) => matches(table, /^\s*location\s*=\s*["']([^"']+)["']/gm));
  const hosts = listed.map((location) => location.split("/")[0] ?? "");
  return judge("podman", { file: folder, listed: hosts, wanted: mirror?.host, mirror });
}

interface Seen {
  readonly file: string;
  readonly listed: readonly string[];
  readonly wanted: string | undefined;
  readonly mirror: Mirror;
}

function judge(client: string, { file, listed, wanted, mirror }: Seen): Finding {
  if (wanted === undefined ? listed.length > 0 : listed.includes(wanted))
    return { status: "ok", found: `${file}: ${wanted ?? listed.join(", ")}` };
  const others = listed.length > 0 ? `${file} has ${listed.join(", ")}, not ${wanted}` : `${file} names no mirror`;
  return unused(client, others, mirror);
}

/** Not a failure: a node's own machine need not pull anything. */
const unused = (client: string, found: string, mirror: Mirror): Finding => ({
  status: "warn",
  found,
  advice: `if images are pulled here: pullring client ${client} --url ${mirror?.origin ?? "http://HOST:5000"}`,
});

const matches = (text: string, grammar: RegExp): string[] => [...text.matchAll(grammar)].map((match) => match[1] ?? "");

/** undefined = it is not there; what can't be read is told. */
async function textOf(file: string): Promise<string | undefined> {
  return readFile(file, "utf8").catch((error: unknown) => absent(error, file));
}

async function namesIn(folder: string): Promise<string[] | undefined> {
  return readdir(folder).catch((error: unknown) => absent(error, folder));
}

function absent(error: unknown, path: string): undefined {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
  if (code === "ENOENT" || code === "ENOTDIR") return undefined;
  throw new Error(`${path} can't be read (${code})`, { cause: error });
}
