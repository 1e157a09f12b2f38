import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";

import { makeRing, type Ring, type RingMember } from "@pullring/hash-ring";

import { findPoint, makePoints, type Points } from "../../packages/hash-ring/src/ketama.ts";
import { freePort } from "../real/listening.ts";
import { needs } from "../real/needs.ts";
import { startNginx } from "../real/nginx.ts";
import { askInARow } from "./ask-in-a-row.ts";

/** What becomes of requests that nginx has for a server. */
type Fate = "answers" | "refuses" | "refuses and is remembered" | "is marked down";

interface Server {
  readonly name: string;
  readonly weight: number;
  readonly fate: Fate;
}

interface Places {
  /** One port on many addresses of 127.0.1.0/24: the first sixteen answer, nobody listens on the others. */
  readonly tcpPort: number;
  /** On 127.0.0.1, for the name that the machine resolves, to as many addresses as it has for it. */
  readonly localPort: number;
  readonly dir: string;
}

const answering = 16;
const keysEach = 4_100;
/** Points that nginx passes before it goes on by round robin (ngx_http_upstream_get_chash_peer). */
const stepsMax = 20;

const parameters: Readonly<Record<Fate, string>> = {
  answers: "max_fails=0",
  refuses: "max_fails=0",
  "refuses and is remembered": "max_fails=1 fail_timeout=1h",
  "is marked down": "down",
};

function configurations({ tcpPort, localPort, dir }: Places): readonly (readonly Server[])[] {
  const at = (address: number, weight = 1, fate: Fate = "answers"): Server => ({
    name: `127.0.1.${address}:${tcpPort}`,
    weight,
    fate,
  });
  const row = (count: number, weightOf: (index: number) => number): Server[] =>
    Array.from({ length: count }, (_, index) => at(index + 1, weightOf(index)));
  const dead = (count: number, fate: Fate): Server[] =>
    Array.from({ length: count }, (_, index) => at(100 + index, 1 + (index % 2), fate));
  const named = (name: string, weight = 1, fate: Fate = "answers"): Server => ({ name, weight, fate });
  const sockets = [named(`unix:${dir}/a.sock`), named(`unix:${dir}/b:5000`), named(`UNIX:${dir}/c.sock`)];
  return [
    ...[2, 3, 4, 5, 8, 12].map((count) => row(count, () => 1)),
    ...[2, 3, 6, 7, 9, 13, answering].map((count) => row(count, (index) => 1 + ((index * 7) % 5))),
    [at(1, 100), at(2, 1)],
    sockets,
    [...sockets, named(`localhost:${localPort}`), at(3, 2)],
    [...sockets, ...row(5, (index) => 1 + index)],
    [...row(answering, () => 2), named(`localhost:${localPort}`, 9)],
    [...row(3, () => 1), named("10.0.0.1:5000", 3, "is marked down"), named("[::1]", 2, "is marked down")],
    [...row(4, () => 1), ...dead(1, "is marked down")],
    [...row(2, () => 2), ...dead(1, "refuses")],
    [...row(3, () => 1), ...dead(2, "refuses")],
    [...row(9, (index) => 1 + (index % 3)), ...dead(3, "refuses")],
    [...row(3, () => 1), ...dead(2, "refuses and is remembered")],
    // Few enough that nginx rarely passes all its steps, wherever this run's port puts the points.
    [...row(6, () => 1), ...dead(6, "refuses and is remembered")],
  ];
}

const someKeys: readonly string[] = Array.from({ length: keysEach }, (_, index) => {
  const hex = createHash("sha256").update(String(index)).digest("hex");
  if (index % 4 === 0) return `docker.io/library/image-${hex.slice(0, 6)}:${index}`;
  return index % 97 === 0 ? `schlüssel ${hex.slice(0, 8)} ☃` : `sha256:${hex}`;
});

/** Keys whose hash is a point and not just before one, which none of a few thousand is by chance: the point itself is its owner's. */
function keysOnPoints(servers: readonly Server[]): string[] {
  const ring = makeRing(membersOf(servers));
  const { hashes, owners } = makePoints(ring.members);
  const isLast = (index: number): boolean => owners[index] !== owners[(index + 1) % owners.length];
  const wanted = new Set(hashes.filter((_, index) => isLast(index)));
  const found: string[] = [];
  for (let tried = 0; found.length < 2; tried += 1) {
    assert.ok(tried < 50_000_000);
    if (wanted.has(ring.hash(`key ${tried}`))) found.push(`key ${tried}`);
  }
  return found;
}

/** Ids in another order than nginx' lines: the ring must depend on neither. */
const membersOf = (servers: readonly Server[]): RingMember[] =>
  servers.map(({ name, weight }, index) => ({ id: `${99 - index}`, ringName: name, weight }));

/** Every backend is a server of the same nginx, which answers its name. */
function backends({ tcpPort, localPort, dir }: Places): string {
  const listens = [
    ...Array.from({ length: answering }, (_, index) => `127.0.1.${index + 1}:${tcpPort}`),
    ...["a.sock", "b:5000", "c.sock"].map((name) => `unix:${dir}/${name}`),
  ].map((name) => [name, name.replace(/^unix:(?=.*c\.sock$)/, "UNIX:")]);
  return [...listens, [`127.0.0.1:${localPort}`, `localhost:${localPort}`]]
    .map(([listen, answer]) => `server { listen ${listen}; location / { return 200 "${answer}"; } }`)
    .join("\n");
}

function upstream(servers: readonly Server[], index: number): string {
  const lines = servers.map(({ name, weight, fate }) => `server ${name} weight=${weight} ${parameters[fate]};`);
  return `upstream c${index} { hash $http_x_key consistent; ${lines.join(" ")} keepalive 32; keepalive_requests 1000000; }`;
}

interface Verdict {
  readonly wrong: readonly string[];
  /** Keys for which nginx left its own ring. */
  readonly beyondSteps: number;
  /** Keys at a point of two servers, where nginx' choice depends on its C library, that it gave to the other one. */
  readonly otherAtTie: number;
}

/** Hashes at which two members have a point. */
function tiedHashes(members: readonly RingMember[]): ReadonlySet<number> {
  const all = members.flatMap((member) => [...new Set(makePoints([member]).hashes)]).sort((a, b) => a - b);
  return new Set(all.filter((hash, index) => hash === all[index - 1]));
}

/** The points that nginx looks at for the key, up to the first one of a live server. */
function pointsPassed(ring: Ring, points: Points, key: string, isLive: (index: number) => boolean): number[] {
  const start = findPoint(points, ring.hash(key));
  const passed: number[] = [];
  for (let step = 0; step < points.hashes.length; step += 1) {
    const at = (start + step) % points.hashes.length;
    passed.push(points.hashes[at]!);
    if (isLive(points.owners[at]!)) break;
  }
  return passed;
}

function judge(servers: readonly Server[], keys: readonly string[], answers: readonly string[]): Verdict {
  const members = membersOf(servers);
  const ring = makeRing(members);
  const nameOf = new Map(members.map(({ id, ringName }) => [id, ringName]));
  const live = new Set(servers.filter(({ fate }) => fate === "answers").map(({ name }) => name));
  const [points, tied] = [makePoints(ring.members), tiedHashes(members)];
  assert.equal(ring.points, points.hashes.length);
  const wrong: string[] = [];
  let [beyondSteps, otherAtTie] = [0, 0];
  for (const [index, key] of keys.entries()) {
    const answer = answers[index]!;
    const names = ring.successors(key).map((id) => nameOf.get(id)!);
    const expected = names.find((name) => live.has(name));
    assert.equal(names[0], nameOf.get(ring.owner(key)));
    const passed = pointsPassed(ring, points, key, (owner) => live.has(ring.members[owner]!.ringName));
    if (passed.length - 1 > stepsMax) beyondSteps += 1;
    else if (answer !== expected && passed.some((hash) => tied.has(hash))) otherAtTie += 1;
    else if (answer !== expected) wrong.push(`${key}: nginx ${answer}, here ${expected}`);
  }
  return { wrong, beyondSteps, otherAtTie };
}

suite("the ring and nginx' `hash … consistent`", { skip: needs("nginx") }, () => {
  test("agree on who owns each of 100,000 keys, over 25 sets of servers, dead ones among them", async (t) => {
    await using folder = await mkdtempDisposable(join(tmpdir(), "pullring-nginx-"));
    const places: Places = { tcpPort: await freePort(), localPort: await freePort(), dir: folder.path };
    const sets = configurations(places);
    const largest = sets.find(({ length }) => length === answering)!;
    const keys = [...keysOnPoints(largest), ...someKeys];
    await using nginx = await startNginx({
      dir: folder.path,
      http: [
        // Each refusal is worth a line to it, and there are thousands.
        "error_log /dev/null crit;",
        "client_header_buffer_size 16k;",
        backends(places),
        ...sets.map(upstream),
      ].join("\n"),
      server: [
        'proxy_http_version 1.1; proxy_set_header Connection ""; proxy_next_upstream error;',
        ...sets.map((_, index) => `location = /${index} { proxy_pass http://c${index}; }`),
      ].join("\n"),
    });
    const answers = await Promise.all(sets.map((_, index) => askInARow({ host: nginx.host, path: `/${index}`, keys })));
    const verdicts = sets.map((servers, index) => judge(servers, keys, answers[index]!));
    const sum = (count: (verdict: Verdict) => number): number => verdicts.map(count).reduce((a, b) => a + b, 0);
    const compared = sets.length * keys.length - sum(({ beyondSteps }) => beyondSteps);
    const [beyondSteps, otherAtTie] = [sum((verdict) => verdict.beyondSteps), sum((verdict) => verdict.otherAtTie)];
    t.diagnostic(`${compared} keys compared over ${sets.length} sets of servers; ${otherAtTie} differ at a tie`);
    t.diagnostic(`${beyondSteps} more had ${stepsMax} points of dead servers before a live one: nginx took any`);
    const disagreeing = verdicts.flatMap(({ wrong }, set) =>
      wrong.length === 0 ? [] : [`set ${set}: ${wrong.length} keys, such as ${wrong[0]}`],
    );
    assert.deepEqual(disagreeing, []);
    assert.ok(compared >= 100_000, `${compared} keys compared`);
    assert.ok(beyondSteps < 500 && otherAtTie < 100, `${beyondSteps} and ${otherAtTie} keys excepted`);
  });
});
