import { CommandError, exitCodes } from "../exit-codes.ts";
import { authorityFile, type ClientAsk, type ClientSetup } from "./client-setup.ts";
import { isLoopback } from "./mirror.ts";

/** Engines mirror one registry; a list that names others is a misunderstanding, better told here than found out by a 429. */
export function onlyDockerHub(client: string, { mirror, upstreams }: ClientAsk): void {
  const others = upstreams.filter((upstream) => upstream !== "docker.io");
  if (others.length === 0) return;
  throw new CommandError(
    exitCodes.usage,
    `${client} pulls by a Docker engine, and that mirrors Docker Hub (docker.io) only, not ${others.join(", ")}. ` +
      `Name the mirror in the image instead: ${mirror.host}/${others[0]}/OWNER/IMAGE:TAG`,
  );
}

/** `features` and whatever else is in the file stays the reader's; the key alone is ours. */
export const engineJson = ({ mirror }: ClientAsk): string => `{\n  "registry-mirrors": ["${mirror.origin}"]\n}\n`;

export const engineFiles = (ask: ClientAsk) => [
  { path: "/etc/docker/daemon.json", contents: engineJson(ask) },
  ...authorityFile(ask, `/etc/docker/certs.d/${ask.mirror.host}/ca.crt`),
];

export const engineReload = "sudo systemctl reload docker";

/** Asks a mirror by the scheme of its address, but an image's own registry by https. */
const insecure = ({ mirror }: ClientAsk): string =>
  mirror.isPlain && !isLoopback.test(mirror.host)
    ? `, and over plain http "insecure-registries": ["${mirror.host}"] in the same file`
    : "";

export function docker(ask: ClientAsk): ClientSetup {
  onlyDockerHub("docker", ask);
  return {
    files: engineFiles(ask),
    reload: [engineReload],
    check: ["docker info --format '{{.RegistryConfig.Mirrors}}'", "docker pull alpine"],
    hints: [
      "where daemon.json exists already, add the key to what is there",
      `other registries than Docker Hub: docker pull ${ask.mirror.host}/ghcr.io/OWNER/IMAGE:TAG${insecure(ask)}`,
      "a mirror must not ask for a login: Docker would answer with the user's login to Docker Hub",
    ],
  };
}
