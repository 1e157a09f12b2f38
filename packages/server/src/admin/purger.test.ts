import assert from "node:assert/strict";
import { test } from "node:test";

import type { PurgeOrder } from "@pullring/core";

import { makePurger, type PurgerOptions } from "./purger.ts";

const order: PurgeOrder = { repository: { upstream: "docker.io", name: "library/alpine" }, atMs: 1 };
const gone = (): Promise<never> => Promise.reject(new Error("gone"));

interface Rig {
  readonly steps: string[];
  readonly options: PurgerOptions;
}

function rig(more: Partial<PurgerOptions> = {}): Rig {
  const steps: string[] = [];
  const step =
    (name: string) =>
    (given: PurgeOrder): Promise<void> => {
      assert.equal(given, order);
      steps.push(name);
      return Promise.resolve();
    };
  const at: PurgerOptions["at"] = (node, given) => step(node)(given);
  return {
    steps,
    options: { self: "n1", others: () => ["n2", "n3"], here: step("here"), at, shared: step("s3"), ...more },
  };
}

test("a purge goes here, to shared storage and then to every other node, so that nobody fetches it back", async () => {
  const { steps, options } = rig();
  const purged = await makePurger(options).purge(order);
  assert.deepEqual(purged, { reached: ["n1", "n2", "n3"], missing: [], shared: "purged" });
  assert.deepEqual(steps, ["here", "s3", "n2", "n3"]);
});

test("a node or a storage that fails is named, and keeps nobody else from purging", async () => {
  const failing = rig({ shared: gone });
  const at: PurgerOptions["at"] = (node, given) => (node === "n2" ? gone() : failing.options.at(node, given));
  const purged = await makePurger({ ...failing.options, at }).purge(order);
  assert.deepEqual(purged, { reached: ["n1", "n3"], missing: ["n2"], shared: "failed" });
  assert.deepEqual(failing.steps, ["here", "n3"]);
});

test("a node that is alone purges itself, and there is no shared storage to tell of", async () => {
  const { shared: _, ...options } = rig({ others: () => [], at: gone }).options;
  assert.deepEqual(await makePurger(options).purge(order), { reached: ["n1"], missing: [], shared: "none" });
});

test("a purge that fails here fails, before anybody else is told", async () => {
  const { steps, options } = rig({ here: gone });
  await assert.rejects(makePurger(options).purge(order), /gone/);
  assert.deepEqual(steps, []);
});
