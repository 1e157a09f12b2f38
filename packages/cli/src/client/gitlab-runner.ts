import type { ClientAsk, ClientSetup } from "./client-setup.ts";
import { engineFiles, engineJson, engineReload, onlyDockerHub } from "./docker.ts";

const inner = "/etc/gitlab-runner/dind/daemon.json";

/** The engine inside a `docker:dind` service pulls by itself and knows nothing of its host's mirror; volumes reach services too. */
function runnerToml({ ca }: ClientAsk): string {
  const volumes = ["/cache", `${inner}:/etc/docker/daemon.json:ro`];
  // The parent of the mirror's own folder: that one's name may hold a colon, which ends a volume's source.
  if (ca !== undefined) volumes.push("/etc/docker/certs.d:/etc/docker/certs.d:ro");
  return `[[runners]]\n[runners.docker]\nvolumes = [${volumes.map((volume) => `"${volume}"`).join(", ")}]\n`;
}

export function gitlabRunner(ask: ClientAsk): ClientSetup {
  onlyDockerHub("gitlab-runner", ask);
  return {
    files: [
      ...engineFiles(ask),
      { path: inner, contents: engineJson(ask) },
      { path: "/etc/gitlab-runner/config.toml", contents: runnerToml(ask) },
    ],
    reload: [engineReload, "sudo gitlab-runner verify   # the runner reads config.toml again by itself"],
    check: [
      "docker info --format '{{.RegistryConfig.Mirrors}}'   # on the host, and in a job with a docker:dind service",
    ],
    hints: [
      "config.toml: add the volumes to the [[runners]] that is there; what is printed is that part alone",
      "daemon.json on the runner's host serves the jobs' own images, the one for docker:dind what jobs pull and build",
      "the kubernetes executor pulls by its nodes: pullring client containerd",
    ],
  };
}
