import type { Hub } from "@pullring/testkit";

import { pull, type PullOptions } from "./http.ts";

type Content = Hub["content"];
type Repository = NonNullable<ReturnType<Content["find"]>>;
type Bytes = Repository["blobs"] extends Map<string, infer B> ? B : never;

export interface PushOptions {
  /** Base address of the registry. */
  readonly to: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const chunkBytes = 256 * 1024;

async function* chunksOf(bytes: Bytes): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.size; offset += chunkBytes) {
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, bytes.size - offset));
    bytes.copy(chunk, offset);
    yield chunk;
  }
}

async function must(status: number, url: string, options: PullOptions) {
  const answer = await pull(url, options);
  if (answer.status === status) return answer;
  throw new Error(`${options.method} ${url}: ${answer.status} ${answer.head.toString()}`);
}

async function pushBlob(repository: string, blob: readonly [string, Bytes], { to, headers = {} }: PushOptions) {
  const [digest, bytes] = blob;
  const begun = await must(202, `${to}/v2/${repository}/blobs/uploads/`, { method: "POST", headers });
  const upload = new URL(begun.headers.location ?? "", to);
  upload.searchParams.set("digest", digest);
  await must(201, upload.href, {
    method: "PUT",
    headers: { ...headers, "content-type": "application/octet-stream", "content-length": String(bytes.size) },
    body: chunksOf(bytes),
  });
}

/** Puts a repository into a registry: blobs, then manifests in the order they were made (children first), then tags. */
export async function pushRepository(
  { name, blobs, manifests, tags }: Repository,
  options: PushOptions,
): Promise<void> {
  const { to, headers = {} } = options;
  for (const blob of blobs) await pushBlob(name, blob, options);
  const put = async (reference: string, digest: string): Promise<void> => {
    const { bytes, mediaType } = manifests.get(digest) ?? { bytes: Buffer.alloc(0), mediaType: "" };
    await must(201, `${to}/v2/${name}/manifests/${reference}`, {
      method: "PUT",
      headers: { ...headers, "content-type": mediaType },
      body: bytes,
    });
  };
  for (const digest of manifests.keys()) await put(digest, digest);
  for (const [tag, digest] of tags) await put(tag, digest);
}
