import type { LocalCommand } from "../command.ts";
import { CommandError, exitCodes } from "../exit-codes.ts";
import { one } from "../words.ts";
import { buildkit } from "./buildkit.ts";
import { circleci } from "./circleci.ts";
import type { ClientFile, ClientSetup, MakeSetup } from "./client-setup.ts";
import { cloudInit } from "./cloud-init.ts";
import { containerd } from "./containerd.ts";
import { docker } from "./docker.ts";
import { gitlabRunner } from "./gitlab-runner.ts";
import { k3s } from "./k3s.ts";
import { mirrorHints, parseMirror, readAuthority } from "./mirror.ts";
import { nomad } from "./nomad.ts";
import { podman } from "./podman.ts";

/** Those that read the same files have the same entry. */
const clients: Readonly<Record<string, MakeSetup>> = {
  docker,
  containerd,
  kubernetes: containerd,
  podman,
  "cri-o": podman,
  buildkit,
  k3s,
  nomad,
  "cloud-init": cloudInit,
  "gitlab-runner": gitlabRunner,
  circleci,
};

const names = Object.keys(clients);

export const client: LocalCommand = {
  usage: "client NAME --url URL [--upstream NAME]… [--ca FILE] [--json]",
  summary: `The configuration that makes a client pull through the mirror at URL. NAME: ${names.join(", ")}.`,
  options: {
    url: { type: "string" },
    upstream: { type: "string", multiple: true },
    ca: { type: "string" },
  },
  async run({ values, words }) {
    const name = one(words, `a client: ${names.join(", ")}`);
    const make = Object.hasOwn(clients, name) ? clients[name] : undefined;
    if (!make) throw new CommandError(exitCodes.usage, `"${name}" is none of ${names.join(", ")}`);
    const { url, upstream = ["docker.io"], ca } = values as { url?: string; upstream?: string[]; ca?: string };
    const mirror = parseMirror(url);
    if (ca !== undefined && mirror.isPlain)
      throw new CommandError(exitCodes.usage, "--ca: plain http has no certificate");
    const upstreams = [...new Set(upstream.map(upstreamName))];
    const setup = make({ mirror, upstreams, ...(ca === undefined ? {} : { ca: await readAuthority(ca) }) });
    return {
      answer: setup.files.map(({ path, contents }) => ({ path, contents })),
      text: textOf(setup.files),
      note: noteOf({ ...setup, hints: [...setup.hints, ...mirrorHints(mirror)] }),
      code: exitCodes.ok,
    };
  },
};

/** The grammar of hosts in image references; nothing in it needs quoting in TOML, YAML or a shell. */
function upstreamName(text: string): string {
  if (/^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::\d{1,5})?$/.test(text))
    return text;
  throw new CommandError(exitCodes.usage, `--upstream: "${text}" is no registry's name such as docker.io or ghcr.io`);
}

/** One file is told by its text alone, so that it can be redirected into its place. */
function textOf(files: readonly ClientFile[]): string {
  const [first, ...more] = files;
  if (first && more.length === 0) return first.contents;
  return files.map(({ path, contents }) => `#### ${path}\n${contents}`).join("\n");
}

function noteOf({ files, reload, check, hints }: ClientSetup): string {
  const section = (head: string, lines: readonly string[]): string =>
    `${head}:\n${lines.map((line) => `  ${line}`).join("\n")}`;
  return [
    section(
      "Write to",
      files.map(({ path }) => path),
    ),
    section("Then", reload),
    section("Check", check),
    section("Know", hints),
  ].join("\n");
}
