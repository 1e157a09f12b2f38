import { type Body, hasCode, PullringError, type Repository } from "@pullring/core";
import type { Digest } from "@pullring/oci";

import { type Content, tag } from "./content.ts";
import type { Ask } from "./plan.ts";
import type { SimCluster, SimNode } from "./sim-cluster.ts";
import { name } from "./sim-upstream.ts";
import type { World } from "./world.ts";

/** How a request of a client ended; `down`: its node died or was dead, so that it had no answer. */
export type Outcome = "served" | "left" | "refused" | "down";

export interface Manners {
  /** After so many pieces the client leaves; -1 = it stays. */
  readonly leavesAfter: number;
  readonly pauseMs: number;
}

export interface Clients {
  blob(node: SimNode, repository: Repository, digest: Digest, manners?: Manners): Promise<Outcome>;
  manifest(node: SimNode, repository: Repository, digest: Digest): Promise<Outcome>;
  tag(node: SimNode, repository: Repository): Promise<{ outcome: Outcome; digest?: Digest }>;
  /** As the plan says. */
  ask(ask: Ask): Promise<Outcome>;
  /** Why the last refusals were, for who wants to know. */
  readonly refusals: { readonly what: string; readonly error: PullringError }[];
}

export interface ClientsOptions {
  readonly world: World;
  readonly content: Content;
  readonly cluster: SimCluster;
}

const patient: Manners = { leavesAfter: -1, pauseMs: 0 };
const pieceBytes = 4_096;

class Gone extends Error {}

export function makeClients({ world, content, cluster }: ClientsOptions): Clients {
  const { clock, broken, note, reached } = world;
  const refusals: Clients["refusals"] = [];

  function judge(what: string, repository: Repository, of: { digest: Digest; bytes: Buffer }): void {
    const { digest, bytes } = of;
    if (!bytes.equals(content.item(digest).bytes)) broken(`I1: ${what} completed with wrong bytes`);
    if (!content.has(repository, digest) && !content.isPublic(digest)) broken(`I11: ${what} was served without rights`);
  }

  /** Runs a request at a node until its end, or that of the node. */
  async function at(node: SimNode, what: string, work: () => Promise<Outcome>): Promise<Outcome> {
    const { process } = node;
    note(`client asks ${what}`);
    if (!process.isAlive) return "down";
    const gone = process.died.catch(() => {
      throw new Gone();
    });
    gone.catch(() => {});
    let outcome: Outcome = "down";
    try {
      outcome = await Promise.race([process.run(work), gone]);
    } catch (error) {
      if (error instanceof PullringError) {
        outcome = "refused";
        refusals.push({ what, error });
        if (hasCode(error, "missing")) reached("no rights");
        note(`client is refused ${what}: ${error.code} ${error.message}`);
      } else if (!(error instanceof Gone)) broken(`${what} ended with ${(error as Error).stack}`);
    }
    note(`client's ${what} is ${outcome}`);
    return outcome;
  }

  async function readAll(node: SimNode, body: Body, { leavesAfter, pauseMs }: Manners): Promise<Buffer | undefined> {
    const parts: Uint8Array[] = [];
    try {
      for (let offset = 0; offset < body.size;) {
        if (parts.length === leavesAfter) {
          reached("client left early");
          return undefined;
        }
        const segment = await body.next(offset, Math.min(body.size, offset + pieceBytes));
        await node.process.running();
        if (!("bytes" in segment)) throw new Error("this store has no files");
        parts.push(Buffer.from(segment.bytes));
        offset += segment.bytes.length;
        if (pauseMs > 0) await clock.sleep(pauseMs);
      }
      return Buffer.concat(parts);
    } finally {
      body.close();
    }
  }

  const clients: Clients = {
    refusals,
    blob(node, repository, digest, manners = patient) {
      const what = `${repository.name}@${name(digest)} at ${node.id}`;
      return at(node, what, async () => {
        const opened = await node.cache.blobs.open({ repository, digest, client: "192.0.2.1" });
        const bytes = await readAll(node, opened.body, manners);
        if (!bytes) return "left";
        judge(what, repository, { digest, bytes });
        return "served";
      });
    },
    manifest(node, repository, digest) {
      const what = `${repository.name}@${name(digest)} (manifest) at ${node.id}`;
      return at(node, what, async () => {
        const { bytes } = await node.cache.manifests.get(repository, digest);
        judge(what, repository, { digest, bytes });
        return "served";
      });
    },
    async tag(node, repository) {
      const what = `${repository.name}:${tag} at ${node.id}`;
      let got: Digest | undefined;
      const outcome = await at(node, what, async () => {
        const { digest, bytes, stale } = await node.cache.tags.get(repository, tag);
        if (stale) reached("stale tag");
        judge(what, repository, { digest, bytes });
        if (!content.tagged(repository).includes(digest)) broken(`I1: ${what} never was ${digest}`);
        got = digest;
        return "served";
      });
      return { outcome, ...(got ? { digest: got } : {}) };
    },
    async ask(ask) {
      await clock.sleep(ask.atMs);
      const { nodes } = cluster;
      const node = nodes[ask.node % nodes.length];
      const repository = content.repositories[ask.repository % content.repositories.length];
      const items = ask.kind === "manifest" ? content.manifests : content.blobs;
      const item = items[ask.item % items.length];
      if (!node || !repository || !item) throw new Error("nothing to ask for");
      if (ask.kind === "blob") return clients.blob(node, repository, item.digest, ask);
      if (ask.kind === "manifest") return clients.manifest(node, repository, item.digest);
      const { outcome, digest } = await clients.tag(node, repository);
      if (ask.kind === "tag" || !digest) return outcome;
      const layers = content.blobs.filter(({ digest: layer }) => content.has(repository, layer));
      const pulled = await Promise.all(layers.map((layer) => clients.blob(node, repository, layer.digest, ask)));
      return pulled.find((one) => one !== "served") ?? "served";
    },
  };
  return clients;
}
