import { readAll } from "./bytes.ts";
import type { Hub } from "./hub.ts";
import type { LayerSpec } from "./images.ts";

export interface CatalogueRow {
  readonly image: string;
  readonly digest: string;
  readonly what: string;
}

const demo = { username: "demo", password: "demo", repositories: ["acme/private"] };

const rootfs = (name: string): LayerSpec => ({
  "etc/": "",
  "etc/os-release": `NAME="${name}"\nID=${name}\nPRETTY_NAME="${name}, made up by the hub simulator"\n`,
  "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
});

/** A few images that container tools accept, and an account that may see the private one. */
export function fillCatalogue({ content, knobs }: Hub): readonly CatalogueRow[] {
  const noise = (size: number): LayerSpec => ({ "opt/noise.bin": readAll(content.draw(size)) });
  const mebibyte = 1024 * 1024;
  const alpine = content.addIndex({
    repository: "library/alpine",
    tag: "latest",
    platforms: ["linux/amd64", "linux/arm64"],
    layers: [rootfs("alpine"), noise(3 * mebibyte)],
    attestation: true,
  });
  content.moveTag("library/alpine", "3", alpine.digest);
  const busybox = content.addImage({
    repository: "library/busybox",
    tag: "latest",
    layers: [rootfs("busybox"), noise(mebibyte)],
    format: "docker",
  });
  const debian = content.addImage({
    repository: "library/debian",
    tag: "stable",
    layers: [rootfs("debian"), noise(2 * mebibyte), 100 * mebibyte],
  });
  const artifact = content.addArtifact({ repository: "acme/artifact", tag: "1", size: 100_000 });
  content.addReferrer({
    repository: "library/alpine",
    subject: alpine,
    artifactType: "application/vnd.example.signature",
    fallbackTag: true,
  });
  const hidden = content.addImage({
    repository: "acme/private",
    tag: "latest",
    layers: [rootfs("private"), noise(mebibyte)],
    private: true,
  });
  knobs.accounts = [...knobs.accounts, demo];
  return [
    {
      image: "alpine:latest, alpine:3",
      digest: alpine.digest,
      what: "index, linux/amd64 and linux/arm64, one referrer",
    },
    { image: "busybox:latest", digest: busybox.digest, what: "one platform, Docker schema 2" },
    { image: "debian:stable", digest: debian.digest, what: "one layer of 100 MiB" },
    { image: "acme/artifact:1", digest: artifact.digest, what: "OCI artifact" },
    { image: "acme/private:latest", digest: hidden.digest, what: "private: account demo, password demo" },
  ];
}
