import assert from "node:assert/strict";
import { test } from "node:test";

import { makeFlights } from "./flights.ts";

test("whoever asks while a run is under way gets its result, and one run is made", async () => {
  const flights = makeFlights<number>();
  const gate = Promise.withResolvers<number>();
  let runs = 0;
  const start = (): Promise<number> => {
    runs += 1;
    return gate.promise;
  };
  const all = Array.from({ length: 50 }, () => flights.run("key", start));
  gate.resolve(7);
  assert.deepEqual(new Set(await Promise.all(all.map(({ result }) => result))), new Set([7]));
  assert.equal(runs, 1);
  assert.deepEqual(
    all.map(({ joined }) => joined),
    [false, ...Array.from({ length: 49 }, () => true)],
  );
});

test("every waiter gets the leader's error, and the key is free again", async () => {
  const flights = makeFlights<number>();
  const failing = (): Promise<number> => Promise.reject(new Error("boom"));
  const waiters = [flights.run("key", failing), flights.run("key", failing)];
  for (const { result } of waiters) await assert.rejects(result, { message: "boom" });
  assert.equal(await flights.run("key", () => Promise.resolve(1)).result, 1);
});

test("a start that throws at once leaves no key behind", async () => {
  const flights = makeFlights<number>();
  const throwing = (): Promise<number> => {
    throw new Error("at once");
  };
  await assert.rejects(flights.run("key", throwing).result, { message: "at once" });
  assert.equal(flights.run("key", () => Promise.resolve(1)).joined, false);
});

test("different keys run apart", async () => {
  const flights = makeFlights<string>();
  const results = ["a", "b"].map((key) => flights.run(key, () => Promise.resolve(key)).result);
  assert.deepEqual(await Promise.all(results), ["a", "b"]);
});
