import { authorityFile, type ClientAsk, type ClientSetup } from "./client-setup.ts";

/** These clients never say which registry they mean, so the mirror's location does. */
function registryToml({ mirror }: ClientAsk, upstream: string): string {
  const lines = [
    "[[registry]]",
    `prefix = "${upstream}"`,
    `location = "${upstream}"`,
    "",
    "[[registry.mirror]]",
    `location = "${mirror.host}/${upstream}"`,
    ...(mirror.isPlain ? ["insecure = true"] : []),
  ];
  return `${lines.join("\n")}\n`;
}

export const registriesFiles = (ask: ClientAsk) => [
  {
    path: "/etc/containers/registries.conf.d/50-pullring.conf",
    contents: ask.upstreams.map((upstream) => registryToml(ask, upstream)).join("\n"),
  },
  ...authorityFile(ask, `/etc/containers/certs.d/${ask.mirror.host}/ca.crt`),
];

export function podman(ask: ClientAsk): ClientSetup {
  const [upstream = "docker.io"] = ask.upstreams;
  const image = upstream === "docker.io" ? "docker.io/library/alpine" : `${upstream}/OWNER/IMAGE`;
  return {
    files: registriesFiles(ask),
    reload: ["# none for podman, buildah and skopeo: read at each pull", "sudo systemctl reload crio"],
    check: [
      `podman --log-level=debug pull ${image} 2>&1 | grep 'Trying to access'`,
      `skopeo inspect docker://${image}`,
    ],
    hints: [
      "users with a registries.conf of their own (~/.config/containers) do not see this file",
      "`insecure` is for plain HTTP; it also means that a certificate is not looked at",
    ].slice(0, ask.mirror.isPlain ? 2 : 1),
  };
}
