import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "node:zlib";

import fc from "fast-check";

import type { RingMember } from "./members.ts";
import { makePoints } from "./ketama.ts";
import { makeRing, previewRing } from "./ring.ts";

const nodes = (count: number): RingMember[] =>
  Array.from({ length: count }, (_, index) => ({
    id: `n${index + 1}`,
    ringName: `10.0.0.${index + 1}:5000`,
    weight: 1,
  }));
const keys = (count: number): string[] => Array.from({ length: count }, (_, index) => `sha256:${index.toString(16)}`);

const someMembers = fc.uniqueArray(
  fc.record({
    id: fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 8 }),
    ringName: fc.string({ minLength: 1, maxLength: 20 }),
    weight: fc.integer({ min: 1, max: 5 }),
  }),
  { minLength: 1, maxLength: 8, selector: ({ id }) => id },
);
const someAlgorithm = fc.constantFrom("ketama" as const, "rendezvous" as const);

test("points and owners are those that nginx was seen to have", () => {
  const ring = makeRing(nodes(3));
  assert.equal(ring.points, 480);
  assert.deepEqual(
    ["0", "a", "f"].map((digit) => [ring.hash(`sha256:${digit.repeat(64)}`), ring.owner(`sha256:${digit.repeat(64)}`)]),
    [
      [4224700007, "n3"],
      [1187663865, "n1"],
      [3866850679, "n1"],
    ],
  );
  assert.equal(ring.hash("/v2/library/alpine/manifests/latest"), 2757753561);
  assert.equal(ring.owner("/v2/library/alpine/manifests/latest"), "n3");
  const { hashes, owners } = makePoints(nodes(3));
  assert.deepEqual([hashes[0], owners[0], hashes.at(-1), owners.at(-1)], [8747417, 0, 4291654027, 0]);
  const alone = new Set(makePoints(nodes(1)).hashes);
  for (const point of [2260520243, 2986236110, 1155032103]) assert.ok(alone.has(point), String(point));
});

test("a name's port is what follows its last colon, if it is all digits", () => {
  // By another CRC-32 than the ring's own: the first point of a name is that of host, zero byte, port and four zero bytes.
  const firstPoint = (host: string, port: string): number => crc32(`${host}\0${port}\0\0\0\0`);
  for (const [ringName, host, port] of [
    ["10.0.0.1:5000", "10.0.0.1", "5000"],
    ["n1.example:05000", "n1.example", "05000"],
    ["n1.example", "n1.example", ""],
    ["5000", "5000", ""],
    ["n1:http", "n1:http", ""],
    ["[::1]:5000", "[::1]", "5000"],
    ["[::1]", "[::1]", ""],
    ["unix:/run/n1.sock", "/run/n1.sock", ""],
    ["unix:/run/n1:5000", "/run/n1:5000", ""],
    ["UNIX:/run/n1.sock", "/run/n1.sock", ""],
    ["nœud:5000", "nœud", "5000"],
  ] as const) {
    const { hashes } = makePoints([{ id: "n", ringName, weight: 1 }]);
    assert.ok(hashes.includes(firstPoint(host, port)), ringName);
  }
});

test("the order in which members are given changes nothing", () => {
  fc.assert(
    fc.property(someMembers, someAlgorithm, fc.array(fc.string(), { maxLength: 20 }), (members, algorithm, asked) => {
      const [ring, turned] = [makeRing(members, { algorithm }), makeRing(members.toReversed(), { algorithm })];
      assert.equal(ring.epoch, turned.epoch);
      for (const key of asked) assert.deepEqual(ring.successors(key), turned.successors(key));
    }),
  );
});

test("successors are all members once, the owner first", () => {
  fc.assert(
    fc.property(someMembers, someAlgorithm, fc.string(), (members, algorithm, key) => {
      const ring = makeRing(members, { algorithm });
      const found = ring.successors(key);
      assert.equal(found[0], ring.owner(key));
      // Members of one ring name have the same points: nginx, too, would have one of them only.
      if (algorithm === "ketama" && new Set(members.map(({ ringName }) => ringName)).size < members.length) return;
      assert.deepEqual(found.toSorted(), members.map(({ id }) => id).toSorted());
    }),
  );
});

for (const algorithm of ["ketama", "rendezvous"] as const) {
  test(`${algorithm}: a node that comes takes keys from others and moves none between them; one that goes gives its own`, () => {
    for (const count of [1, 2, 4, 9]) {
      const before = makeRing(nodes(count), { algorithm });
      const after = makeRing(nodes(count + 1), { algorithm });
      const moved = keys(5_000).filter((key) => before.owner(key) !== after.owner(key));
      for (const key of moved) assert.equal(after.owner(key), `n${count + 1}`);
      assert.ok(moved.length / 5_000 <= 1.3 / (count + 1), `${moved.length} of 5000 moved`);
      for (const key of keys(500)) {
        const [owner, next] = after.successors(key);
        if (owner === `n${count + 1}`) assert.equal(before.owner(key), next, "the next in line takes over");
      }
    }
  });

  test(`${algorithm}: shares add up, follow the weights, and agree with where keys fall`, () => {
    const ring = makeRing([...nodes(4), { id: "big", ringName: "10.9.9.9:5000", weight: 4 }], { algorithm });
    const shares = ring.shares();
    assert.ok(Math.abs([...shares.values()].reduce((sum, share) => sum + share, 0) - 1) < 1e-9);
    assert.ok((shares.get("big") ?? 0) > 0.4 && (shares.get("big") ?? 0) < 0.6);
    const counts = Map.groupBy(keys(20_000), (key) => ring.owner(key));
    for (const [id, share] of shares) assert.ok(Math.abs(share - (counts.get(id)?.length ?? 0) / 20_000) < 0.02, id);
  });

  test(`${algorithm}: a preview tells what a change moves`, () => {
    const [before, after] = [makeRing(nodes(4), { algorithm }), makeRing(nodes(5), { algorithm })];
    const { moved, nodes: rows } = previewRing(before, after);
    const counted = keys(20_000).filter((key) => before.owner(key) !== after.owner(key)).length / 20_000;
    assert.ok(Math.abs(moved - counted) < 0.02, `${moved} foretold, ${counted} counted`);
    assert.ok(moved <= 0.25);
    assert.deepEqual(
      rows.map(({ id }) => id),
      ["n1", "n2", "n3", "n4", "n5"],
    );
    assert.equal(rows[4]?.before, 0);
    assert.ok(Math.abs((rows[4]?.after ?? 0) - moved) < 0.02);
    assert.equal(previewRing(before, before).moved, 0);
  });
}

test("where points of two nodes fall together the lower id has it, whichever was given first, and the ring tells", () => {
  // Found by search: both have a point at 993486573.
  const [low, high] = [
    { id: "a", ringName: "10.0.1.146:5000", weight: 1 },
    { id: "b", ringName: "10.0.0.33:5000", weight: 1 },
  ];
  for (const members of [
    [low, high],
    [high, low],
  ]) {
    const ring = makeRing(members);
    assert.deepEqual([ring.ties, ring.points], [1, 319]);
    const { hashes, owners } = makePoints(ring.members);
    assert.equal(owners[hashes.indexOf(993486573)], 0);
  }
  assert.equal(makeRing(nodes(3)).ties, 0);
});

test("an epoch is the same for the same ring only", () => {
  const [first = nodes(1)[0]!, ...rest] = nodes(3);
  const { epoch } = makeRing([first, ...rest]);
  assert.match(epoch, /^[0-9a-f]{16}$/);
  assert.equal(makeRing([{ ...first, id: "renamed" }, ...rest]).epoch, epoch, "ids are not hashed");
  const others = [rest, [{ ...first, weight: 2 }, ...rest], [{ ...first, ringName: "x" }, ...rest]];
  for (const members of others) assert.notEqual(makeRing(members).epoch, epoch);
  assert.notEqual(makeRing([first, ...rest], { algorithm: "rendezvous" }).epoch, epoch);
});

test("what is no ring is refused", () => {
  const [node = nodes(1)[0]!] = nodes(1);
  for (const members of [
    [],
    [node, node],
    [{ ...node, weight: 0 }],
    [{ ...node, weight: 1.5 }],
    [{ ...node, weight: 101 }],
    [{ ...node, ringName: "" }],
  ])
    assert.throws(() => makeRing(members), RangeError);
});

test("a ring of 100 nodes is made within 50 ms and asked within microseconds", () => {
  makeRing(nodes(100));
  const startedMs = performance.now();
  const ring = makeRing(nodes(100));
  const builtMs = performance.now();
  for (const key of keys(10_000)) ring.owner(key);
  assert.ok(builtMs - startedMs < 50, `${builtMs - startedMs} ms`);
  assert.ok((performance.now() - builtMs) / 10_000 < 0.02, `${(performance.now() - builtMs) / 10} µs`);
});
