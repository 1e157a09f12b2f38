import { type Bytes, bytesOf, type DigestAlgorithm, digestOfBytes } from "./bytes.ts";
import { makePages } from "./pages.ts";

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export interface HubManifest extends Descriptor {
  readonly bytes: Buffer;
  /** The parsed document, or undefined when the bytes are no JSON object. */
  readonly document: ManifestDocument | undefined;
}

export interface ManifestDocument {
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly config?: Descriptor;
  readonly layers?: readonly Descriptor[];
  readonly manifests?: readonly (Descriptor & { readonly platform?: { os: string; architecture: string } })[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface HubRepository {
  readonly name: string;
  private: boolean;
  readonly manifests: Map<string, HubManifest>;
  readonly blobs: Map<string, Bytes>;
  readonly tags: Map<string, string>;
}

/** Where something goes; `private: true` makes the repository so. */
export interface Place {
  readonly repository: string;
  readonly private?: boolean;
}

export interface BlobOptions extends Place {
  /** Either a size, and the bytes are drawn from the seed, or the bytes. */
  readonly size?: number;
  readonly bytes?: Uint8Array;
  readonly algorithm?: DigestAlgorithm;
  readonly mediaType?: string;
}

export interface ManifestOptions extends Place {
  /** Kept and served exactly so. */
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly tag?: string;
  readonly algorithm?: DigestAlgorithm;
}

export type ContentStore = ReturnType<typeof makeContentStore>;

function parseDocument(bytes: Buffer): ManifestDocument | undefined {
  try {
    const parsed: unknown = JSON.parse(bytes.toString());
    return typeof parsed === "object" && parsed !== null ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/** What the hub holds. The same seed and the same calls give the same digests. */
export function makeContentStore(seed: number) {
  const repositories = new Map<string, HubRepository>();
  const pages = makePages(seed);
  let blobsDrawn = 0;

  function repository({ repository: name, private: isPrivate }: Place): HubRepository {
    const known = repositories.get(name);
    const found = known ?? { name, private: false, manifests: new Map(), blobs: new Map(), tags: new Map() };
    if (known === undefined) repositories.set(name, found);
    if (isPrivate !== undefined) found.private = isPrivate;
    return found;
  }

  const draw = (size: number): Bytes => pages(++blobsDrawn, size);

  function keepBlob(place: Place, bytes: Bytes, options: { algorithm?: DigestAlgorithm; mediaType?: string } = {}) {
    const digest = digestOfBytes(bytes, options.algorithm);
    repository(place).blobs.set(digest, bytes);
    return { mediaType: options.mediaType ?? "application/octet-stream", digest, size: bytes.size };
  }

  function addBlob(options: BlobOptions): Descriptor {
    const bytes = options.bytes === undefined ? draw(options.size ?? 0) : bytesOf(options.bytes);
    return keepBlob(options, bytes, options);
  }

  function addManifest(options: ManifestOptions): Descriptor {
    const bytes = Buffer.from(options.bytes);
    const digest = digestOfBytes(bytesOf(bytes), options.algorithm);
    const descriptor = { mediaType: options.mediaType, digest, size: bytes.length };
    const target = repository(options);
    target.manifests.set(digest, { ...descriptor, bytes, document: parseDocument(bytes) });
    if (options.tag !== undefined) target.tags.set(options.tag, digest);
    return descriptor;
  }

  return {
    draw,
    keepBlob,
    addBlob,
    addManifest,
    /** Makes a repository that holds nothing yet, or changes whether it is private. */
    addRepository: (place: Place): HubRepository => repository(place),
    find: (name: string): HubRepository | undefined => repositories.get(name),
    moveTag(name: string, tag: string, digest: string): void {
      repository({ repository: name }).tags.set(tag, digest);
    },
    removeTag: (name: string, tag: string): boolean => repositories.get(name)?.tags.delete(tag) ?? false,
    removeManifest: (name: string, digest: string): boolean =>
      repositories.get(name)?.manifests.delete(digest) ?? false,
    removeBlob: (name: string, digest: string): boolean => repositories.get(name)?.blobs.delete(digest) ?? false,
    removeRepository: (name: string): boolean => repositories.delete(name),
    /** Puts a blob of one repository into another one too. */
    mountBlob(from: string, to: string, digest: string): void {
      const bytes = repositories.get(from)?.blobs.get(digest);
      if (bytes === undefined) throw new Error(`${from} holds no blob ${digest}`);
      repository({ repository: to }).blobs.set(digest, bytes);
    },
  };
}
