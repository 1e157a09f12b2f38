import { parseManifest, type Digest } from "@pullring/oci";

import type { SharedBlobs } from "./cluster-ports.ts";
import { PullringError } from "./errors.ts";
import { limits } from "./limits.ts";
import type { BlobHead, ManifestAnswer, Repository } from "./ports.ts";

/** A manifest from shared storage, whole in memory and not yet verified. */
export async function readShared(shared: SharedBlobs, repository: Repository, digest: Digest): Promise<ManifestAnswer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  let told: BlobHead | undefined;
  await shared.get(
    { repository, digest, offset: 0 },
    {
      head(head) {
        if ((head.size ?? 0) > limits.manifestBytesMax) throw tooLarge();
        told = head;
      },
      write(chunk) {
        length += chunk.length;
        if (length > limits.manifestBytesMax) throw tooLarge();
        // The chunk's memory is the sender's again once this returns.
        chunks.push(Buffer.from(chunk));
      },
    },
  );
  if (!told) throw new PullringError("unavailable", "shared storage gave no answer");
  const bytes = Buffer.concat(chunks);
  if (!parseManifest(bytes)) throw new PullringError("missing", "these bytes are no manifest");
  return { lane: told.lane, bytes };
}

const tooLarge = (): PullringError => new PullringError("too_large", "this is no manifest: it is too large");
