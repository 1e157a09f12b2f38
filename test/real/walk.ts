import { mediaTypes } from "@pullring/testkit";

import { pull, type PullOptions } from "./http.ts";

export interface WalkOptions extends PullOptions {
  /** Goes behind every address, such as `?ns=registry.example.org`. */
  readonly query?: string;
}

interface Document {
  readonly manifests?: readonly { readonly digest: string }[];
  readonly config?: { readonly digest: string };
  readonly layers?: readonly { readonly digest: string }[];
}

const accept = [mediaTypes.ociIndex, mediaTypes.ociManifest, mediaTypes.dockerList, mediaTypes.dockerManifest].join(
  ", ",
);

/**
 * Pulls an image by plain HTTP, with everything that it names. `base` ends before `/manifests/`. The answer is what came, by
 * the name that was asked for: the digest of the bytes, and the manifest's type.
 */
export async function walk(base: string, tag: string, options: WalkOptions = {}): Promise<Record<string, string>> {
  const { query = "", headers = {}, ...rest } = options;
  const came: Record<string, string> = {};

  async function get(path: string): Promise<Buffer> {
    const answer = await pull(`${base}/${path}${query}`, { ...rest, headers: { accept, ...headers } });
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${answer.head.toString()}`);
    const type = path.startsWith("manifests/") ? ` ${answer.headers["content-type"]}` : "";
    came[path] = `${answer.digest}${type}`;
    return answer.head;
  }

  async function manifest(reference: string): Promise<void> {
    const {
      manifests = [],
      config,
      layers = [],
    } = JSON.parse((await get(`manifests/${reference}`)).toString()) as Document;
    for (const child of manifests) await manifest(child.digest);
    for (const blob of [...(config ? [config] : []), ...layers]) await get(`blobs/${blob.digest}`);
  }

  await manifest(tag);
  return came;
}
