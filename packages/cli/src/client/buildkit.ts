import { authorityFile, type ClientAsk, type ClientSetup } from "./client-setup.ts";

const caPath = "/etc/buildkit/pullring-ca.pem";

/**
 * Each mirror is a registry of its own to BuildKit: how to reach it stands under its own name. Without a word about `http` it
 * asks loopback addresses by plain http, whatever is served there.
 */
function buildkitToml({ mirror, upstreams, ca }: ClientAsk): string {
  const mirrored = upstreams.map((upstream) => `[registry."${upstream}"]\nmirrors = ["${mirror.host}"]\n`);
  const authority = ca === undefined ? "" : `ca = ["${caPath}"]\n`;
  return [...mirrored, `[registry."${mirror.host}"]\nhttp = ${mirror.isPlain}\n${authority}`].join("\n");
}

export function buildkit(ask: ClientAsk): ClientSetup {
  const [upstream = "docker.io"] = ask.upstreams;
  const image = upstream === "docker.io" ? "alpine" : `${upstream}/OWNER/IMAGE`;
  return {
    files: [{ path: "/etc/buildkit/buildkitd.toml", contents: buildkitToml(ask) }, ...authorityFile(ask, caPath)],
    reload: [
      "sudo systemctl restart buildkit",
      "docker buildx create --use --name mirrored --buildkitd-config /etc/buildkit/buildkitd.toml",
    ],
    check: [`echo 'FROM ${image}' | docker buildx build --no-cache --pull -`],
    hints: [
      "the builder inside the Docker engine does not read this file: it uses the engine's own mirror (pullring client docker)",
      "a builder in a container is made anew for a new configuration: docker buildx rm mirrored",
    ],
  };
}
