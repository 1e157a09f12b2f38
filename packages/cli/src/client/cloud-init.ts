import type { ClientAsk, ClientFile, ClientSetup } from "./client-setup.ts";
import { hostsFiles } from "./containerd.ts";
import { engineFiles } from "./docker.ts";
import { indented } from "./indented.ts";
import { registriesFiles } from "./podman.ts";

/** Engines mirror Docker Hub only; the other clients take any registry. */
const filesOf = (ask: ClientAsk): readonly ClientFile[] => [
  ...(ask.upstreams.includes("docker.io") ? engineFiles(ask) : []),
  ...hostsFiles(ask),
  ...registriesFiles(ask),
];

const entry = ({ path, contents }: ClientFile): string =>
  `  - path: "${path}"\n    permissions: "0644"\n    content: |\n${indented(contents, 6)}\n`;

/** Machines without Docker have nothing to reload, and no failure to report. */
const tail = 'runcmd:\n  - [sh, -c, "if systemctl is-active -q docker; then systemctl reload docker; fi"]\n';

export function cloudInit(ask: ClientAsk): ClientSetup {
  return {
    files: [{ path: "user-data", contents: `#cloud-config\nwrite_files:\n${filesOf(ask).map(entry).join("")}${tail}` }],
    reload: ["# none: counts for machines that are made with it"],
    check: ["cloud-init schema --config-file user-data", "cloud-init status --long   # on the new machine"],
    hints: [
      "the first line must stay #cloud-config",
      "an image that brings a daemon.json of its own has it replaced",
      "Kubernetes nodes: containerd's config.toml needs config_path (pullring client containerd tells where)",
    ],
  };
}
