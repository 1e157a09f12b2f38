import type { PullringError } from "./errors.ts";
import { Blobs } from "./blobs.ts";
import { makeFillGate, type FillGate } from "./fill-gate.ts";
import { Fills } from "./fills.ts";
import { limits } from "./limits.ts";
import { makeLinks } from "./links.ts";
import { makeLists, type ListPolicy, type Lists } from "./lists.ts";
import { Manifests } from "./manifests.ts";
import type { Observe } from "./observe.ts";
import type { Pins } from "./pins.ts";
import type { BlobSource, BlobStore, Clock, ListSource, ManifestSource, RecordStore } from "./ports.ts";
import { makeRecent } from "./recent.ts";
import { Tags, type TagPolicy } from "./tags.ts";

export interface CacheDeps {
  readonly clock: Clock;
  readonly store: BlobStore;
  readonly records: RecordStore;
  readonly manifests: ManifestSource;
  readonly blobs: BlobSource;
  readonly lists: ListSource;
  readonly policy: TagPolicy & ListPolicy;
  readonly staleIfErrorMs: number;
  readonly pins: Pins;
  readonly observe: Observe;
}

/** The cache of one node. What each part promises stands at its interface. */
export interface Cache {
  readonly blobs: Blobs;
  readonly manifests: Manifests;
  readonly tags: Tags;
  readonly lists: Lists;
  readonly fills: Fills;
  readonly gate: FillGate;
}

/** Builds the parts upon each other; nothing starts by itself. */
export function makeCache(deps: CacheDeps): Cache {
  const { clock, store, records, observe, pins, policy, staleIfErrorMs } = deps;
  const missing = makeRecent<PullringError>(clock, { ttlMs: limits.negativeMs, entriesMax: limits.negativesMax });
  const links = makeLinks({ records, manifests: deps.manifests, blobs: deps.blobs });
  const gate = makeFillGate(limits);
  const fills = new Fills({ source: deps.blobs, store, clock, gate, observe });
  const onSave: typeof pins.learn = (digest, named) => pins.learn(digest, named);
  const manifests = new Manifests({ source: deps.manifests, store, links, missing, observe, onSave });
  const tags = new Tags({
    clock,
    records,
    source: deps.manifests,
    manifests,
    policy,
    staleIfErrorMs,
    missing,
    observe,
    onMove: (repository, tag, digest) => void pins.moved(repository, tag, digest),
  });
  const blobs = new Blobs({ store, fills, links, source: deps.blobs, missing });
  const lists = makeLists({ clock, records, source: deps.lists, policy, staleIfErrorMs, missing, observe });
  return { blobs, manifests, tags, lists, fills, gate };
}
