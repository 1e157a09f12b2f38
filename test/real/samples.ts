import { startHub } from "@pullring/testkit";

import { pushRepository, type PushOptions } from "./push.ts";

export interface Sample {
  readonly repository: string;
  readonly tag: string;
  readonly what: string;
}

/** What is put into a registry to be pulled: one of each kind that registries hold. */
export const samples = {
  single: { repository: "library/single", tag: "1", what: "an image for one platform, Docker schema 2" },
  multi: { repository: "library/multi", tag: "1", what: "an index of two platforms with attestations" },
  artifact: { repository: "acme/artifact", tag: "v1", what: "an OCI artifact" },
  byte: { repository: "acme/byte", tag: "v1", what: "a blob of one byte" },
  empty: { repository: "acme/empty", tag: "v1", what: "an empty blob" },
} as const satisfies Record<string, Sample>;

/** Apart, because it costs seconds wherever it goes. */
export const bigSample = { repository: "library/big", tag: "1", what: "a layer of 400 MB" } as const satisfies Sample;

/** Pushes the samples into a registry; `withBig` adds the big one. */
export async function pushSamples({ withBig = false, ...options }: PushOptions & { withBig?: boolean }): Promise<void> {
  const hub = await startHub({ seed: 2 });
  await hub.close();
  const { content } = hub;
  const files = { "etc/": "", "etc/os-release": "ID=sample\n" };
  content.addImage({ ...samples.single, layers: [files, 40_000], format: "docker" });
  content.addIndex({ ...samples.multi, platforms: ["linux/amd64", "linux/arm64"], layers: [files], attestation: true });
  content.addArtifact({ ...samples.artifact, size: 200_000 });
  content.addArtifact({ ...samples.byte, size: 1 });
  content.addArtifact({ ...samples.empty, size: 0 });
  if (withBig) content.addImage({ ...bigSample, layers: [files, 400_000_000] });
  for (const { repository } of [...Object.values(samples), ...(withBig ? [bigSample] : [])]) {
    const made = content.find(repository);
    if (made === undefined) throw new Error(`${repository} was not made`);
    await pushRepository(made, options);
  }
}
