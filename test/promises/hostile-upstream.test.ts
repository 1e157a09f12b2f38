import assert from "node:assert/strict";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { digestOf, type Fault, type FaultMatch, type Hub, startHub, testCertificates } from "@pullring/testkit";

import { keptFiles, wrongFiles } from "../real/disk.ts";
import { asDockerHub } from "../real/pullring.ts";
import { scrape } from "./metrics.ts";
import { askRaw, type RawAnswer } from "./raw.ts";
import { bytesOfBlob, type Rig, startRig } from "./rig.ts";
import { type Sink, startSink } from "./sink.ts";

const bigBytes = 1_200_000;
/** Below 256 KiB, where everything is verified before the status line. */
const smallBytes = 100_000;
const half = bigBytes / 2;

const account = { username: "ci", password: "canary-password-41c7" };

/**
 * What a client may see: the blob; a status that sends it elsewhere; or a body that ends by FIN before its Content-Length. Which of
 * them is part of each promise, and none of them is a wrong byte at the end of a whole answer.
 */
type Seen = "whole" | "refused" | "cut";

interface Scene {
  readonly promise: string;
  readonly size?: number;
  /** What goes wrong on the way of the bytes. */
  readonly faults: readonly (readonly [FaultMatch, Fault])[];
  readonly seen: Seen;
  /** Whether upstream's bytes are not believed again for a while. */
  readonly quarantined?: boolean;
}

const bytes: FaultMatch = { kind: ["cdn_get", "cdn_range"] };
const registry: FaultMatch = { kind: ["blob_get", "blob_range"] };
const always = { times: "always" } as const;
const once = (fault: Fault): Scene["faults"] => [[bytes, fault]];
const ever = (fault: Fault): Scene["faults"] => [[{ ...bytes, ...always }, fault]];
const thenOnResume = (first: Fault, next: Fault): Scene["faults"] => [
  [{ kind: "cdn_get" }, first],
  [{ kind: "cdn_range", ...always }, next],
];
const redirects = (fault: Fault): Scene["faults"] => [[{ ...registry, ...always }, fault]];

const scenes: readonly Scene[] = [
  { promise: "cut once by FIN is resumed", faults: once({ cutAfterBytes: half }), seen: "whole" },
  { promise: "cut once by RST is resumed", faults: once({ cutAfterBytes: half, cutBy: "rst" }), seen: "whole" },
  {
    promise: "cut once, of unknown length, is resumed",
    faults: once({ cutAfterBytes: half, framing: "chunked" }),
    seen: "whole",
  },
  { promise: "stalled once is resumed", faults: once({ stallAfterBytes: half }), seen: "whole" },
  {
    promise: "resumed by 200 and everything loses its head, not its place",
    faults: thenOnResume({ cutAfterBytes: half }, { ignoreRange: true }),
    seen: "whole",
  },
  { promise: "answered 500 at first is asked for again", faults: once({ status: 500 }), seen: "whole" },
  { promise: "whose address has run out is asked for again", faults: once({ status: 403 }), seen: "whole" },
  { promise: "cut again and again is cut", faults: ever({ cutAfterBytes: 100_000 }), seen: "cut" },
  {
    promise: "cut again and again by RST is cut",
    faults: ever({ cutAfterBytes: 100_000, cutBy: "rst" }),
    seen: "cut",
  },
  {
    promise: "cut by the end of its connection is not taken for whole",
    faults: ever({ cutAfterBytes: half, framing: "close" }),
    seen: "refused",
    quarantined: true,
  },
  {
    promise: "that is small and cut is refused",
    size: smallBytes,
    faults: ever({ cutAfterBytes: 10_000 }),
    seen: "refused",
  },
  { promise: "with a wrong first page is cut", faults: ever({ corruptAt: 100 }), seen: "cut", quarantined: true },
  {
    promise: "with a wrong byte in its middle is cut",
    faults: ever({ corruptAt: half }),
    seen: "cut",
    quarantined: true,
  },
  {
    promise: "with a wrong last byte is cut",
    faults: ever({ corruptAt: bigBytes - 1 }),
    seen: "cut",
    quarantined: true,
  },
  {
    promise: "that is small and has a wrong last byte is refused",
    size: smallBytes,
    faults: ever({ corruptAt: smallBytes - 1 }),
    seen: "refused",
    quarantined: true,
  },
  {
    promise: "declared longer than it is is cut",
    faults: once({ contentLengthDelta: 1000 }),
    seen: "cut",
    quarantined: true,
  },
  {
    promise: "declared shorter than it is is cut",
    faults: once({ contentLengthDelta: -1000 }),
    seen: "cut",
    quarantined: true,
  },
  { promise: "in gzip is refused", faults: ever({ gzip: true }), seen: "refused", quarantined: true },
  {
    promise: "resumed from elsewhere than was asked is cut",
    faults: thenOnResume({ cutAfterBytes: half }, { contentRange: `bytes 0-99/${bigBytes}` }),
    seen: "cut",
    quarantined: true,
  },
  {
    promise: "resumed as part of something longer is cut",
    faults: thenOnResume(
      { cutAfterBytes: half },
      { contentRange: `bytes ${half - 1}-${bigBytes - 1}/${bigBytes + 1}` },
    ),
    seen: "cut",
    quarantined: true,
  },
  {
    promise: "replaced by a page is refused",
    faults: ever({ status: 200, body: "<html>" }),
    seen: "refused",
    quarantined: true,
  },
  { promise: "that nobody answers for is refused", faults: ever({ hang: true }), seen: "refused" },
  { promise: "redirected in a loop is refused", faults: redirects({ redirectLoop: true }), seen: "refused" },
  {
    promise: "redirected to no web address is refused",
    faults: redirects({ redirectTo: "ftp://127.0.0.1/" }),
    seen: "refused",
  },
];

const stack = new AsyncDisposableStack();
let rig: Rig;
/** A host that nobody has configured. */
let sink: Sink;
/** A hub behind TLS, and one whose challenges send us to the sink for tokens. */
let secure: Hub;
let trap: Hub;

before(async () => {
  sink = stack.use(await startSink("127.0.0.3", Buffer.alloc(bigBytes, "x")));
  const { ca, server } = testCertificates();
  const caFile = join(stack.use(await mkdtempDisposable(join(tmpdir(), "pullring-ca-"))).path, "ca.pem");
  await writeFile(caFile, ca);
  secure = await startHub({ tls: server });
  stack.defer(() => secure.close());
  trap = await startHub({ accounts: [account], realm: `${sink.url}/token` });
  stack.defer(() => trap.close());
  const reach = (hub: Hub) => ({ url: hub.url, tokenOrigins: [hub.tokenOrigin] });
  const upstreams = (hub: Hub) => ({
    ...asDockerHub(hub),
    "guarded.test": reach(hub),
    "secure.test": { ...reach(secure), allowPrivateAddresses: true, ca: caFile },
    "trap.test": { ...reach(trap), allowPrivateAddresses: true },
    "guarded-trap.test": reach(trap),
  });
  const accounts = ["docker.io", "trap.test"].map((upstream) => ({ name: `ci-${upstream}`, upstream, ...account }));
  const config = (hub: Hub) => ({ accounts, upstreams: upstreams(hub) });
  rig = stack.use(await startRig({ hub: { accounts: [account] }, config }));
});
after(() => stack.disposeAsync());

async function seenBy(answer: RawAnswer & { body: Buffer }, digest: string): Promise<Seen> {
  const { status, end, bytes, headers } = answer;
  assert.notEqual(end, "rst");
  if (status >= 400) {
    assert.equal(end, "whole");
    assert.equal(headers["content-type"], "application/json");
    return "refused";
  }
  assert.equal(status, 200);
  if (end === "whole") assert.equal(await digestOf(answer.body), digest);
  else assert.ok(bytes < Number(headers["content-length"]), `${bytes} of ${headers["content-length"]} bytes`);
  return end === "whole" ? "whole" : "cut";
}

describe("a blob", { concurrency: true }, () => {
  for (const [index, { promise, size = bigBytes, faults, seen, quarantined = false }] of scenes.entries()) {
    test(promise, async () => {
      const { hub } = rig;
      const repository = `acme/scene-${index}`;
      const { digest } = hub.content.addBlob({ repository, size });
      const url = rig.blob(repository, digest);
      const rules = faults.map(([match, fault]) => hub.faults.add({ ...match, reference: digest }, fault));
      assert.equal(await seenBy(await askRaw(url), digest), seen);
      assert.ok(rules.every(({ hits }) => hits > 0));
      for (const rule of rules) rule.remove();

      // A client that lost its body comes back for the rest. Only an error sends it to its next host.
      const resumed = await askRaw(url, { headers: { range: `bytes=${size - 1000}-` } });
      const rest = bytesOfBlob(hub, repository, digest).subarray(-1000);
      if (seen === "cut") assert.ok(resumed.status >= 400, `status ${resumed.status}`);
      else if (resumed.status < 400) assert.ok(resumed.status === 206 && resumed.body.equals(rest));
      const again = await seenBy(await askRaw(url), digest);
      assert.equal(again, quarantined ? "refused" : "whole");
    });
  }
});

test("a blob cut by the end of its connection is resumed where its manifest tells its size", async () => {
  const { content, faults } = rig.hub;
  const repository = "acme/sized";
  const { layers } = content.addImage({ repository, tag: "1", layers: [bigBytes] });
  const [{ digest } = { digest: "" }] = layers;
  assert.equal((await askRaw(rig.manifest(repository, "1"))).status, 200);
  const rule = faults.add({ ...bytes, reference: digest }, { cutAfterBytes: half, framing: "close" });
  assert.equal(await seenBy(await askRaw(rig.blob(repository, digest)), digest), "whole");
  assert.equal(rule.hits, 1);
});

describe("a blob that turns out to be wrong", { concurrency: true }, () => {
  const wrongBlob = (repository: string): string => {
    const { digest } = rig.hub.content.addBlob({ repository, size: bigBytes });
    rig.hub.faults.add({ ...bytes, ...always, reference: digest }, { corruptAt: half });
    return rig.blob(repository, digest);
  };

  test("never carries a range to its last byte", async () => {
    const url = wrongBlob("acme/ranges");
    for (const range of ["bytes=1000-", "bytes=-1000", `bytes=0-${bigBytes - 1}`, `bytes=5-9,${half}-`]) {
      const { status, end } = await askRaw(url, { headers: { range } });
      assert.ok(status >= 400 || end === "fin", `${range}: ${status} ${end}`);
    }
  });

  test("is cut by FIN also when the next request waits on the connection, which gets no answer then", async () => {
    const behind = `GET /v2/ HTTP/1.1\r\nhost: ${rig.pullring.host}\r\n\r\n`;
    const { end, bytes, headers, surplus } = await askRaw(wrongBlob("acme/pipelined"), { behind });
    assert.deepEqual([end, surplus], ["fin", 0]);
    assert.ok(bytes < Number(headers["content-length"]));
  });

  test("is cut for each of many who wait", async () => {
    const url = wrongBlob("acme/many");
    const answers = await Promise.all(Array.from({ length: 20 }, () => askRaw(url)));
    for (const { status, end } of answers) assert.ok(status >= 400 || end === "fin", `${status} ${end}`);
  });
});

describe("an upstream that sends us elsewhere", { concurrency: true }, () => {
  test("takes no login along, and brings no wrong byte", async () => {
    const { hub } = rig;
    const { digest } = hub.content.addBlob({ repository: "acme/foreign", size: bigBytes });
    hub.faults.add({ ...registry, ...always, reference: digest }, { redirectTo: `${sink.url}/foreign` });
    assert.equal(await seenBy(await askRaw(rig.blob("acme/foreign", digest)), digest), "cut");
    const heard = sink.requests.filter(({ url }) => url === "/foreign");
    assert.ok(heard.length > 0);
    assert.ok(heard.every(({ headers }) => headers.authorization === undefined && headers.cookie === undefined));
  });

  test("to private addresses is not followed where that is not allowed", async () => {
    const { hub } = rig;
    const repository = "guarded.test/acme/private";
    const addresses = [sink.url, "http://127.0.0.2:80", "http://[::1]:80", "http://169.254.169.254/latest/meta-data"];
    for (const redirectTo of addresses) {
      const { digest } = hub.content.addBlob({ repository: "acme/private", size: smallBytes });
      hub.faults.add({ ...registry, ...always, reference: digest }, { redirectTo: `${redirectTo}/private` });
      assert.equal(await seenBy(await askRaw(rig.blob(repository, digest)), digest), "refused");
    }
    assert.ok(sink.requests.every(({ url }) => url !== "/private"));
    // Not even to the hub's own CDNs, which are other origins than those that were configured.
    const { digest } = hub.content.addBlob({ repository: "acme/private", size: smallBytes });
    assert.equal(await seenBy(await askRaw(rig.blob(repository, digest)), digest), "refused");
    assert.equal(hub.ledger.count({ repository: "acme/private", origin: ["cdn0", "cdn1"] }), 0);
    assert.equal(hub.ledger.count({ repository: "acme/private", kind: "blob_get" }), addresses.length + 1);
  });

  test("from https to http is not followed", async () => {
    const { digest } = secure.content.addBlob({ repository: "acme/secure", size: smallBytes });
    const url = rig.blob("secure.test/acme/secure", digest);
    const rule = secure.faults.add({ ...registry, ...always }, { redirectTo: `${sink.url}/plain` });
    assert.equal(await seenBy(await askRaw(url), digest), "refused");
    assert.ok(rule.hits > 0);
    assert.ok(sink.requests.every(({ url }) => url !== "/plain"));
    rule.remove();
    assert.equal(await seenBy(await askRaw(url), digest), "whole");
  });

  test("for a token is not followed, with an account or without", async () => {
    const { content, ledger } = trap;
    for (const place of ["trap.test", "guarded-trap.test"]) {
      content.addImage({ repository: "acme/trap", tag: place, layers: [] });
      const { status, headers } = await askRaw(rig.manifest(`${place}/acme/trap`, place));
      assert.deepEqual([status, headers["www-authenticate"]], [503, undefined]);
    }
    assert.ok(ledger.count({ origin: "registry" }) > 0);
    assert.ok(sink.requests.every(({ url }) => !url.startsWith("/token")));
  });
});

test("of all that nothing wrong was kept, and it was counted", async () => {
  const kept = await keptFiles(rig.pullring.disk);
  assert.ok(kept.length > 0);
  assert.deepEqual(wrongFiles(kept), []);
  const { sum } = await scrape(rig.pullring);
  const mismatches = scenes.filter(({ quarantined }) => quarantined).length;
  assert.ok(sum("pullring_digest_mismatch_total", { source: "upstream" }) >= mismatches);
});

test("of all that no login went where it does not belong", async () => {
  const sent = [rig.hub, secure, trap].flatMap(({ ledger }) =>
    ledger
      .filter(({ authorization }) => authorization !== undefined)
      .map(({ origin, authorization }) => `${origin} ${authorization}`),
  );
  assert.deepEqual(new Set(sent), new Set(["registry bearer", "token basic"]));
  assert.ok(sink.requests.every(({ headers }) => headers.authorization === undefined));
  await rig.pullring.stop();
  const told = rig.pullring.logs();
  assert.match(told, /"msg":"stopped"/);
  assert.ok(!told.includes(account.password));
});
