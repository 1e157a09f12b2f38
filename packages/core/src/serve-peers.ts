import type { Blobs } from "./blobs.ts";
import type { PeerService, PurgeOrder } from "./cluster-ports.ts";
import { PullringError } from "./errors.ts";
import type { Manifests } from "./manifests.ts";
import type { Observe } from "./observe.ts";
import type { LaneAnswer, LaneOrder } from "./quota-ports.ts";
import type { Tags } from "./tags.ts";

export interface ServePeersParts {
  readonly blobs: Blobs;
  readonly manifests: Manifests;
  readonly tags: Tags;
  readonly purge: (order: PurgeOrder) => Promise<void>;
  /** Decides whether the lane is this node's and may ask for the repository. Absent = no lane is for others. */
  readonly fetchOnLane?: ((order: LaneOrder) => Promise<LaneAnswer>) | undefined;
  readonly observe: Observe;
}

/** The receiving end of what peers ask: `get` and `resolve` in the owner's role, which asks leaves only; a `read` asks nobody. */
export function servePeers({ blobs, manifests, tags, purge, fetchOnLane, observe }: ServePeersParts): PeerService {
  function told<T extends { readonly joined: boolean }>(answer: T): T {
    if (answer.joined) observe({ kind: "joined", where: "peer" });
    return answer;
  }

  return {
    async openBlob({ verb, repository, digest, from, offset }) {
      const order = { repository, digest, client: from, role: "owner" } as const;
      return told(await (verb === "get" ? blobs.open(order) : blobs.openLeaf({ ...order, offset })));
    },
    holding: (_repository, digest) => Promise.resolve(blobs.holding(digest)),
    async manifest(verb, repository, digest) {
      if (verb === "get") return told(await manifests.get(repository, digest, "owner"));
      const held = await manifests.getLocal(repository, digest);
      if (!held) throw new PullringError("missing", "this node does not hold this manifest");
      return held;
    },
    async resolve(repository, tag, verb = "get") {
      if (verb === "get") return told(await tags.answer(repository, tag));
      const record = await tags.recall(repository, tag);
      if (!record) throw new PullringError("missing", "this node knows nothing of this tag");
      return { record };
    },
    async fetch(order) {
      if (!fetchOnLane) throw new PullringError("unavailable", "this node asks by no lane for others");
      return await fetchOnLane(order);
    },
    purge,
  };
}
