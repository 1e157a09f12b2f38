import { authorityFile, type ClientAsk, type ClientSetup } from "./client-setup.ts";

/** Where a reference without a mirror goes; Docker Hub's registry is not at the name that images have. */
const serverOf = (upstream: string): string =>
  upstream === "docker.io" ? "https://registry-1.docker.io" : `https://${upstream}`;

const caPath = "/etc/containerd/pullring-ca.pem";

/** containerd says by `?ns=` which registry is meant, so the same address serves all of them. */
export function hostsToml({ mirror, ca }: ClientAsk, upstream: string): string {
  const lines = [
    `server = "${serverOf(upstream)}"`,
    "",
    `[host."${mirror.origin}"]`,
    'capabilities = ["pull", "resolve"]',
    ...(ca === undefined ? [] : [`ca = "${caPath}"`]),
  ];
  return `${lines.join("\n")}\n`;
}

export const hostsFiles = (ask: ClientAsk) => [
  ...ask.upstreams.map((upstream) => ({
    path: `/etc/containerd/certs.d/${upstream}/hosts.toml`,
    contents: hostsToml(ask, upstream),
  })),
  ...authorityFile(ask, caPath),
];

export function containerd(ask: ClientAsk): ClientSetup {
  const [upstream = "docker.io"] = ask.upstreams;
  const image = upstream === "docker.io" ? "docker.io/library/alpine:latest" : `${upstream}/OWNER/IMAGE:TAG`;
  return {
    files: hostsFiles(ask),
    reload: ["# none: read at each pull"],
    check: [
      "grep -n config_path /etc/containerd/config.toml",
      `crictl pull ${image}`,
      `ctr images pull --hosts-dir /etc/containerd/certs.d ${image}`,
    ],
    hints: [
      'Kubernetes looks into certs.d only where config.toml says config_path = "/etc/containerd/certs.d", in ' +
        `[plugins."io.containerd.grpc.v1.cri".registry] (containerd 1.x) or [plugins."io.containerd.cri.v1.images".registry] (2.x); ` +
        "after a change there: sudo systemctl restart containerd",
      "config_path and the older registry.mirrors exclude each other: containerd does not start its CRI with both",
    ],
  };
}
