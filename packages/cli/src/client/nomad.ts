import type { ClientAsk, ClientSetup } from "./client-setup.ts";
import { engineFiles, engineReload, onlyDockerHub } from "./docker.ts";

/** Nomad's docker driver has no mirror setting of its own: the engine on each client node pulls. */
export function nomad(ask: ClientAsk): ClientSetup {
  onlyDockerHub("nomad", ask);
  return {
    files: engineFiles(ask),
    reload: [engineReload],
    check: ["docker info --format '{{.RegistryConfig.Mirrors}}'", "nomad job run JOB.nomad.hcl"],
    hints: [
      "on every Nomad client node, not on the servers",
      "tasks of the podman driver: pullring client podman",
      `other registries than Docker Hub: image = "${ask.mirror.host}/ghcr.io/OWNER/IMAGE:TAG" in the task's config`,
    ],
  };
}
