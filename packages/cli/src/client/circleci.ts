import type { ClientAsk, ClientSetup } from "./client-setup.ts";
import { engineJson, onlyDockerHub } from "./docker.ts";
import { indented } from "./indented.ts";

/** Keeps what the machine image has in its file; jq is part of CircleCI's images. Never `<<`: that is CircleCI's own syntax. */
function script(ask: ClientAsk): string {
  const folder = `/etc/docker/certs.d/${ask.mirror.host}`;
  const authority =
    ask.ca === undefined
      ? []
      : [
          `sudo mkdir -p "${folder}"`,
          `echo ${Buffer.from(ask.ca).toString("base64")} | base64 -d | sudo tee "${folder}/ca.crt" >/dev/null`,
        ];
  return [
    "file=/etc/docker/daemon.json",
    'settings=$(sudo cat "$file" 2>/dev/null || echo {})',
    `mirror='${JSON.stringify(JSON.parse(engineJson(ask)))}'`,
    ...authority,
    'echo "$settings" | jq ". + $mirror" | sudo tee "$file" >/dev/null',
    "sudo systemctl restart docker",
  ].join("\n");
}

export function circleci(ask: ClientAsk): ClientSetup {
  onlyDockerHub("circleci", ask);
  const contents = `version: 2.1
commands:
  use-pullring:
    steps:
      - run:
          name: Pull Docker Hub's images through Pullring
          command: |
${indented(script(ask), 12)}
jobs:
  build:
    machine:
      image: ubuntu-2404:current
    steps:
      - use-pullring
      - checkout
      - run: docker pull alpine
workflows:
  build:
    jobs: [build]
`;
  return {
    files: [{ path: ".circleci/config.yml", contents }],
    reload: ["# none: counts from the next pipeline on"],
    check: ["circleci config validate", "docker info --format '{{.RegistryConfig.Mirrors}}'   # as a step of the job"],
    hints: [
      "machine executor and self-hosted runners only: the images of the docker executor, and setup_remote_docker, are pulled by CircleCI's own engines",
      "CircleCI's machines must reach the mirror; a self-hosted runner inside your network does",
      "where config.yml exists already, take over the command and call it first in each job",
    ],
  };
}
