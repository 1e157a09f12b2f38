import { readFile as readFileFromDisk } from "node:fs/promises";
import { hostname as systemHostname } from "node:os";

import type { Clock } from "@pullring/core";

import { systemClock } from "../clock.ts";
import { check } from "./check.ts";
import type { Config } from "./config.ts";
import { readDocument, type Source } from "./document.ts";
import { overlay, readEnvironment, type Environment, type Setting } from "./environment.ts";
import { identify } from "./node-identity.ts";
import { quoted, valueAt, type Path } from "./path.ts";
import { ConfigError, problemOf, type Finding, type Problem } from "./problem.ts";
import { resolve, type OpenSecret } from "./resolve.ts";
import type { Settings } from "./schema.ts";
import { fileSecret, inlineSecret } from "./secret-source.ts";

export interface LoadOptions {
  /** Goes before PULLRING_CONFIG. With neither, nothing but the environment and the defaults counts. */
  readonly file?: string | undefined;
  readonly env: Environment;
  readonly readFile?: (path: string) => Promise<string>;
  /** A secret's file could not be re-read; the secret stays as it was. */
  readonly onSecretError?: (error: Error, file: string) => void;
  readonly clock?: Pick<Clock, "monotonic">;
  readonly hostname?: string;
}

/**
 * The configuration of this start, from file and environment, the latter over the former. Throws a ConfigError with all that is
 * wrong. Files that it names are opened once, so that a wrong path stops the start and not the first request.
 */
export async function loadConfig(options: LoadOptions): Promise<Config> {
  const { settings: variables, problems } = readEnvironment(options.env);
  const source = await readSource(options);
  const locate = (path: Path): string | undefined => variableAt(variables, path) ?? source.locate(path);
  const checked = check(overlay(source.tree, variables));
  refuse([...problems, ...checked.findings.map((finding) => problemOf(finding, locate(finding.path)))]);
  if (!("settings" in checked)) throw new Error("a configuration without findings has settings");

  const { settings } = checked;
  const findings = await unreadable(settings, options.readFile ?? readText);
  const { identity, findings: strange } = identify(settings, options.hostname ?? systemHostname());
  findings.push(...strange);
  const config = resolve(settings, { identity, openSecret: secretOpener(options, findings) });
  refuse(findings.map((finding) => problemOf(finding, locate(finding.path))));
  return config;
}

const readText = (path: string): Promise<string> => readFileFromDisk(path, "utf8");

function refuse(problems: readonly Problem[]): void {
  if (problems.length > 0) throw new ConfigError(problems);
}

async function readSource({ file, env, readFile = readText }: LoadOptions): Promise<Source> {
  const path = file ?? env["PULLRING_CONFIG"];
  if (path === undefined) return { tree: {}, locate: () => undefined };
  let text: string;
  try {
    text = await readFile(path);
  } catch (error) {
    const key = file === undefined ? "PULLRING_CONFIG" : "--config";
    throw new ConfigError([
      { key, found: `${quoted(path)}, which can't be read (${reasonOf(error)})`, allowed: "a YAML file" },
    ]);
  }
  return readDocument(text, path);
}

/** The variable that gave what stands at a path: of several the innermost. */
function variableAt(variables: readonly Setting[], path: Path): string | undefined {
  return variables.findLast((setting) => setting.path.every((step, at) => step === path[at]))?.variable;
}

async function unreadable(settings: Settings, readFile: (path: string) => Promise<string>): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [path, file] of filesOf(settings)) {
    try {
      await readFile(file);
    } catch (error) {
      findings.push({
        path,
        found: `${quoted(file)}, which can't be read (${reasonOf(error)})`,
        allowed: "a readable file",
      });
    }
  }
  return findings;
}

/** All but the secrets', which are kept open by their sources. */
function filesOf({ tls, upstreams, clients, cluster }: Settings): [Path, string][] {
  const files: [Path, string | undefined][] = [
    [["tls", "cert"], tls?.cert],
    [["tls", "key"], tls?.key],
    [["tls", "clientCa"], tls?.clientCa],
    ...Object.entries(upstreams).map(([host, { ca }]): [Path, string | undefined] => [["upstreams", host, "ca"], ca]),
    [["clients", "auth", "htpasswdFile"], clients.auth?.htpasswdFile],
    ...(["redis", "peer"] as const).flatMap((part) =>
      Object.entries(cluster?.[part]?.tls ?? {}).map(([name, file]): [Path, string | undefined] => [
        ["cluster", part, "tls", name],
        file,
      ]),
    ),
  ];
  return files.filter((entry): entry is [Path, string] => entry[1] !== undefined);
}

function secretOpener({ onSecretError = () => {}, clock = systemClock }: LoadOptions, findings: Finding[]): OpenSecret {
  return (path, name, section) => {
    const inline = valueAt(section, [name]);
    const file = valueAt(section, [`${name}File`]);
    if (typeof file !== "string") return typeof inline === "string" ? inlineSecret(inline) : undefined;
    try {
      return fileSecret(file, { clock, onError: onSecretError });
    } catch (error) {
      findings.push({
        path: [...path, `${name}File`],
        // Not by its name: what stands there may be the secret itself, by mistake.
        found: `a file that can't be used (${reasonOf(error)})`,
        allowed: `a readable file with a ${/password$/i.test(name) ? "password" : "secret"} in it`,
      });
      return inlineSecret("");
    }
  };
}

/** The system's code, because its message repeats the path. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}
