import { gzipSync } from "node:zlib";
import { bytesOf, digestOfBytes } from "./bytes.ts";
import type { ContentStore, Descriptor, Place } from "./content.ts";
import { tarAround, tarBytesMin, tarOf } from "./tar.ts";

export const mediaTypes = {
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerSchema1: "application/vnd.docker.distribution.manifest.v1+prettyjws",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociEmpty: "application/vnd.oci.empty.v1+json",
} as const;

type Format = "oci" | "docker";

const layerTypes = {
  oci: { tar: "application/vnd.oci.image.layer.v1.tar", gzip: "application/vnd.oci.image.layer.v1.tar+gzip" },
  docker: {
    tar: "application/vnd.docker.image.rootfs.diff.tar",
    gzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  },
} as const;

const formats = {
  oci: {
    manifest: mediaTypes.ociManifest,
    index: mediaTypes.ociIndex,
    config: "application/vnd.oci.image.config.v1+json",
  },
  docker: {
    manifest: mediaTypes.dockerManifest,
    index: mediaTypes.dockerList,
    config: "application/vnd.docker.container.image.v1+json",
  },
} as const;

/** A size (one file of noise, a tar of exactly that size, uncompressed) or the files of a gzipped tar. */
export type LayerSpec = number | Readonly<Record<string, string | Uint8Array>>;

export interface ImageOptions extends Place {
  readonly tag?: string;
  readonly layers: readonly LayerSpec[];
  /** `os/architecture`; default linux/amd64. */
  readonly platform?: string;
  readonly format?: Format;
  readonly cmd?: readonly string[];
}

export interface IndexOptions extends Omit<ImageOptions, "layers" | "platform"> {
  readonly platforms: readonly string[];
  readonly layers?: readonly LayerSpec[];
  /** Adds an attestation manifest for each platform, as BuildKit does. */
  readonly attestation?: boolean;
}

export interface ArtifactOptions extends Place {
  readonly tag?: string;
  readonly artifactType?: string;
  readonly size?: number;
  readonly bytes?: Uint8Array;
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface ReferrerOptions extends Omit<ArtifactOptions, "tag"> {
  readonly subject: Descriptor;
  readonly artifactType: string;
  /** Lists it under the tag that clients read where the referrers API is missing. */
  readonly fallbackTag?: boolean;
}

export interface ImageDescriptor extends Descriptor {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

export interface IndexDescriptor extends Descriptor {
  readonly images: Readonly<Record<string, ImageDescriptor>>;
  readonly attestations: readonly ImageDescriptor[];
}

interface Layer {
  readonly descriptor: Descriptor;
  /** Digest of the tar before compression. */
  readonly diffId: string;
}

const attestationType = "application/vnd.in-toto+json";
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
const bare = ({ mediaType, digest, size }: Descriptor): Descriptor => ({ mediaType, digest, size });
const parsePlatform = (text: string) => {
  const [os = "linux", architecture = "amd64", variant] = text.split("/");
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
};

function addLayer(store: ContentStore, place: Place, spec: LayerSpec, format: Format): Layer {
  const types = layerTypes[format];
  if (typeof spec !== "number") {
    const tar = tarOf(spec);
    const descriptor = store.keepBlob(place, bytesOf(gzipSync(tar)), { mediaType: types.gzip });
    return { descriptor, diffId: digestOfBytes(bytesOf(tar)) };
  }
  const bytes =
    spec < tarBytesMin
      ? store.draw(spec)
      : tarAround({ name: "noise.bin", size: spec, noise: (size) => store.draw(size) });
  const descriptor = store.keepBlob(place, bytes, { mediaType: types.tar });
  return { descriptor, diffId: descriptor.digest };
}

function addImage(store: ContentStore, options: ImageOptions): ImageDescriptor {
  const format = options.format ?? "oci";
  const layers = options.layers.map((spec) => addLayer(store, options, spec, format));
  const config = store.addBlob({
    repository: options.repository,
    mediaType: formats[format].config,
    bytes: json({
      created: "2026-01-01T00:00:00Z",
      ...parsePlatform(options.platform ?? "linux/amd64"),
      config: { Env: ["PATH=/usr/bin:/bin"], Cmd: options.cmd ?? ["/bin/true"] },
      rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
      history: layers.map((_, index) => ({ created: "2026-01-01T00:00:00Z", created_by: `layer ${index}` })),
    }),
  });
  const descriptors = layers.map((layer) => layer.descriptor);
  const mediaType = formats[format].manifest;
  const bytes = json({ schemaVersion: 2, mediaType, config, layers: descriptors });
  const manifest = store.addManifest({ ...place(options), bytes, mediaType, ...tagged(options) });
  return { ...manifest, config, layers: descriptors };
}

const place = ({ repository, private: isPrivate }: Place): Place =>
  isPrivate === undefined ? { repository } : { repository, private: isPrivate };
const tagged = ({ tag }: { readonly tag?: string }) => (tag === undefined ? {} : { tag });

function addArtifact(store: ContentStore, options: ArtifactOptions): ImageDescriptor {
  const config = store.addBlob({ ...place(options), bytes: Buffer.from("{}"), mediaType: mediaTypes.ociEmpty });
  const mediaType = "application/vnd.example.data";
  const source = options.bytes === undefined ? { size: options.size ?? 64 } : { bytes: options.bytes };
  const layers = [store.addBlob({ ...place(options), ...source, mediaType })];
  const bytes = json({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: options.artifactType ?? "application/vnd.example.artifact",
    config,
    layers,
    ...(options.subject === undefined ? {} : { subject: bare(options.subject) }),
    ...(options.annotations === undefined ? {} : { annotations: options.annotations }),
  });
  const manifest = store.addManifest({
    ...place(options),
    bytes,
    mediaType: mediaTypes.ociManifest,
    ...tagged(options),
  });
  return { ...manifest, config, layers };
}

function addAttestation(store: ContentStore, options: Place, subject: Descriptor): ImageDescriptor {
  const statement = json({ _type: "https://in-toto.io/Statement/v1", subject: [{ digest: subject.digest }] });
  const layers = [store.addBlob({ ...place(options), bytes: statement, mediaType: attestationType })];
  const diffIds = layers.map((layer) => layer.digest);
  const configBytes = json({ ...parsePlatform("unknown/unknown"), rootfs: { type: "layers", diff_ids: diffIds } });
  const config = store.addBlob({ ...place(options), bytes: configBytes, mediaType: formats.oci.config });
  const mediaType = mediaTypes.ociManifest;
  const manifest = store.addManifest({
    ...place(options),
    bytes: json({ schemaVersion: 2, mediaType, config, layers }),
    mediaType,
  });
  return { ...manifest, config, layers };
}

function addIndex(store: ContentStore, options: IndexOptions): IndexDescriptor {
  const { tag: _, ...untagged } = options;
  const layers = options.layers ?? [4096];
  const images = Object.fromEntries(
    options.platforms.map((platform) => [platform, addImage(store, { ...untagged, layers, platform })]),
  );
  const attested = options.attestation === true ? Object.values(images) : [];
  const attestations = attested.map((image) => addAttestation(store, options, image));
  const mediaType = formats[options.format ?? "oci"].index;
  const children = Object.entries(images).map(([platform, image]) => ({
    ...bare(image),
    platform: parsePlatform(platform),
  }));
  const statements = attestations.map((attestation, index) => ({
    ...bare(attestation),
    platform: parsePlatform("unknown/unknown"),
    annotations: {
      "vnd.docker.reference.type": "attestation-manifest",
      "vnd.docker.reference.digest": attested[index]?.digest,
    },
  }));
  const bytes = json({ schemaVersion: 2, mediaType, manifests: [...children, ...statements] });
  return { ...store.addManifest({ ...place(options), bytes, mediaType, ...tagged(options) }), images, attestations };
}

/** The tag under which clients look for referrers where the API is missing. */
export const fallbackTagOf = (digest: string): string => digest.replace(":", "-").slice(0, "sha256-".length + 64);

/** The referrers of a digest, as descriptors with artifactType and annotations, oldest first. */
export function referrersOf(store: ContentStore, repository: string, subject: string) {
  const manifests = [...(store.find(repository)?.manifests.values() ?? [])];
  return manifests
    .filter((manifest) => manifest.document?.subject?.digest === subject)
    .map((manifest) => ({
      ...bare(manifest),
      artifactType: manifest.document?.artifactType ?? manifest.document?.config?.mediaType ?? "",
      ...(manifest.document?.annotations === undefined ? {} : { annotations: manifest.document.annotations }),
    }));
}

function addReferrer(store: ContentStore, options: ReferrerOptions): ImageDescriptor {
  const added = addArtifact(store, options);
  if (options.fallbackTag === true) {
    const manifests = referrersOf(store, options.repository, options.subject.digest);
    const bytes = json({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests });
    const tag = fallbackTagOf(options.subject.digest);
    store.addManifest({ repository: options.repository, bytes, mediaType: mediaTypes.ociIndex, tag });
  }
  return added;
}

/** Whole images on top of a store's blobs and manifests. */
export const makeImages = (store: ContentStore) => ({
  addImage: (options: ImageOptions): ImageDescriptor => addImage(store, options),
  addIndex: (options: IndexOptions): IndexDescriptor => addIndex(store, options),
  addArtifact: (options: ArtifactOptions): ImageDescriptor => addArtifact(store, options),
  addReferrer: (options: ReferrerOptions): ImageDescriptor => addReferrer(store, options),
});
