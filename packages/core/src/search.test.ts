import assert from "node:assert/strict";
import { test } from "node:test";

import { repositoryA, virtualClock } from "@pullring/testkit";
import type { Digest } from "@pullring/oci";

import type { Cluster, Lease } from "./cluster-ports.ts";
import { PullringError } from "./errors.ts";
import { makeHot } from "./hot.ts";
import { makeQuarantine } from "./quarantine.ts";
import { makeRecent } from "./recent.ts";
import { Search } from "./search.ts";

const digest = `sha256:${"a".repeat(64)}` as Digest;

/** A node that is alone in its ring, and whose leases all come from `lease`. */
function searchWith(lease: Lease): Search {
  const clock = virtualClock();
  const nobody = (): Promise<never> => Promise.reject(new PullringError("unreachable", "nobody is there"));
  const cluster: Cluster = {
    owners: { self: "n1", of: () => ["n1"], others: () => [] },
    blobs: { get: nobody, read: nobody, holders: () => Promise.resolve([]) },
    manifests: { get: nobody, read: nobody, resolve: nobody },
    leases: {
      acquire: () => Promise.resolve({ state: "acquired", lease, attempt: 1 }),
      changed: () => Promise.resolve(),
    },
  };
  const quarantine = makeQuarantine({ clock, observe: () => {} });
  const unheld = makeRecent<true>(clock, { ttlMs: 1, entriesMax: 1 });
  const parts = { clock, cluster, quarantine, hot: makeHot(clock), unheld };
  return new Search(parts, { repository: repositoryA, digest, role: "owner" });
}

test("a lease that had run out and is had again is kept until the search is closed", async () => {
  let released = 0;
  const lease = { lost: false, progress: () => {}, release: () => Promise.resolve(void (released += 1)) };
  const search = searchWith(lease);
  const asked: boolean[] = [];
  const wanted = {
    signal: new AbortController().signal,
    received: () => 0,
    take: () => Promise.resolve(asked.push(released === 0)),
  };
  await search.find(wanted);
  lease.lost = true;
  await search.find(wanted);
  assert.deepEqual(asked, [true, true], "upstream is asked under the lease");
  await search.close();
  assert.equal(released, 1);
});
