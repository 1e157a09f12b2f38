import { authorityFile, type ClientAsk, type ClientSetup } from "./client-setup.ts";

const caPath = "/etc/rancher/k3s/pullring-ca.pem";

function registriesYaml({ mirror, upstreams, ca }: ClientAsk): string {
  const mirrors = upstreams.flatMap((upstream) => [`  "${upstream}":`, "    endpoint:", `      - "${mirror.origin}"`]);
  const configs = ca === undefined ? [] : ["configs:", `  "${mirror.host}":`, "    tls:", `      ca_file: "${caPath}"`];
  return `${["mirrors:", ...mirrors, ...configs].join("\n")}\n`;
}

export function k3s(ask: ClientAsk): ClientSetup {
  const [upstream = "docker.io"] = ask.upstreams;
  const image = upstream === "docker.io" ? "docker.io/library/alpine:latest" : `${upstream}/OWNER/IMAGE:TAG`;
  return {
    files: [{ path: "/etc/rancher/k3s/registries.yaml", contents: registriesYaml(ask) }, ...authorityFile(ask, caPath)],
    reload: ["sudo systemctl restart k3s", "sudo systemctl restart k3s-agent"],
    check: [
      `sudo cat /var/lib/rancher/k3s/agent/etc/containerd/certs.d/${upstream}/hosts.toml`,
      `sudo k3s crictl pull ${image}`,
    ],
    hints: [
      "every server and agent needs the file",
      "RKE2 reads the same text at /etc/rancher/rke2/registries.yaml",
      "registries are asked themselves when the mirror fails, unless k3s runs with --disable-default-registry-endpoint",
    ],
  };
}
