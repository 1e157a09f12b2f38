import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { digestOf, eventually, type Hub } from "@pullring/testkit";

import { pull } from "../real/http.ts";
import { askRaw, openRaw } from "./raw.ts";
import { type Rig, startRig } from "./rig.ts";

const upstream = "docker.io";
const tag = "1";
const acme = { username: "acme-ci", password: "acme-secret" };
const other = { username: "other-ci", password: "other-secret" };

describe("private repositories", () => {
  let rig: Rig;
  let made: ReturnType<typeof fill>;

  function fill({ content }: Hub) {
    const image = (repository: string, isPrivate: boolean) =>
      content.addImage({ repository, tag, layers: [600_000, 1000], private: isPrivate });
    const [mine, theirs, open] = [image("acme/app", true), image("other/app", true), image("library/app", false)];
    const [layer] = mine.layers;
    assert.ok(layer);
    for (const repository of ["acme/empty", "other/empty"]) content.addRepository({ repository, private: true });
    content.addRepository({ repository: "library/empty" });
    return { mine, theirs, open, layer };
  }

  before(async () => {
    const accounts = [
      { name: "acme", upstream, ...acme, repositories: ["acme/**"] },
      { name: "other", upstream, ...other, repositories: ["other/**"] },
    ];
    const hub = {
      accounts: [
        { ...acme, repositories: ["acme/**"] },
        { ...other, repositories: ["other/**"] },
      ],
    };
    rig = await startRig({ hub, config: { accounts } });
    made = fill(rig.hub);
  });
  after(() => rig[Symbol.asyncDispose]());

  test("are pulled by the account that has them, which pulls nothing else", async () => {
    const { hub } = rig;
    const images = { "acme/app": made.mine, "other/app": made.theirs, "library/app": made.open };
    for (const [repository, { digest, config, layers }] of Object.entries(images)) {
      assert.equal(await digestOf((await askRaw(rig.manifest(repository, tag))).body), digest);
      for (const blob of [config, ...layers])
        assert.equal(await digestOf((await askRaw(rig.blob(repository, blob.digest))).body), blob.digest);
    }
    const whoAsked = (repository: string) =>
      new Set(hub.ledger.filter({ repository, origin: "registry", status: [200, 307] }).map(({ account }) => account));
    assert.deepEqual(whoAsked("acme/app"), new Set([acme.username]));
    assert.deepEqual(whoAsked("other/app"), new Set([other.username]));
    assert.deepEqual(whoAsked("library/app"), new Set([undefined]));
    for (const { query, account } of hub.ledger.filter({ origin: "token" })) {
      const [scope] = /(acme|other|library)\/app/.exec(new URLSearchParams(query).get("scope") ?? "") ?? [];
      const owner = { "acme/app": acme.username, "other/app": other.username }[scope ?? ""];
      assert.equal(account, owner, scope);
    }
  });

  /** All that could tell of bytes, as 404s. */
  async function assertHidden(repository: string): Promise<void> {
    const { mine, layer } = made;
    const urls = [
      rig.manifest(repository, tag),
      rig.manifest(repository, mine.digest),
      ...[mine.config, layer].map(({ digest }) => rig.blob(repository, digest)),
    ];
    for (const url of urls) {
      for (const [method, headers] of [
        ["GET", {}],
        ["HEAD", {}],
        ["GET", { range: "bytes=0-9" }],
        ["GET", { range: "bytes=-9" }],
        ["GET", { "if-none-match": `"${url.split("/").at(-1)}"` }],
      ] as const) {
        const answer = await askRaw(url, { method, headers });
        assert.deepEqual([answer.status, answer.end], [404, "whole"], `${method} ${url} ${JSON.stringify(headers)}`);
        assert.equal(answer.headers["docker-content-digest"], undefined);
      }
    }
  }

  const strangers = ["library/empty", "acme/empty", "other/empty", "library/none"];

  test("have bytes that are served under no other repository, nor after a restart", async () => {
    for (const repository of strangers) await assertHidden(repository);
    await rig.restart();
    for (const repository of strangers) await assertHidden(repository);
    const bytesSent = rig.hub.ledger.filter(({ repository }) => strangers.includes(repository ?? ""));
    assert.ok(bytesSent.every(({ status }) => status === 404 || status === 401));
    assert.equal((await askRaw(rig.blob("acme/app", made.layer.digest))).status, 200);
  });

  test("have bytes that another repository gets when upstream says that it has them too, by one question", async () => {
    const { content, ledger } = rig.hub;
    const { digest } = made.layer;
    for (const repository of ["acme/copy", "library/copy"]) {
      content.mountBlob("acme/app", repository, digest);
      const url = rig.blob(repository, digest);
      for (let count = 0; count < 3; count++) assert.equal(await digestOf((await askRaw(url)).body), digest);
      assert.equal(ledger.count({ repository, kind: ["cdn_get", "blob_get"] }), 0);
      // Where HEAD tells no size, one byte does.
      const asked = ledger.filter({ repository, kind: ["blob_head", "blob_range"], status: 307 });
      assert.ok(asked.length >= 1 && asked.length <= 2);
      assert.ok(ledger.filter({ repository, origin: ["cdn0", "cdn1"] }).every(({ bytesSent }) => bytesSent === 1));
    }
  });

  test("have bytes that nobody else gets while upstream can't be asked", async () => {
    const { content, faults } = rig.hub;
    const repository = "acme/doubtful";
    const { digest } = made.layer;
    content.mountBlob("acme/app", repository, digest);
    const url = rig.blob(repository, digest);
    const fails = faults.add({ repository, kind: ["blob_head", "blob_range"], times: "always" }, { status: 500 });
    for (const method of ["GET", "HEAD"]) assert.equal((await askRaw(url, { method })).status, 404);
    fails.remove();
    assert.equal((await askRaw(url)).status, 200);
  });

  test("have bytes that nobody else gets while they arrive", async () => {
    const { content, faults, ledger } = rig.hub;
    const size = 2_000_000;
    const repository = "acme/arriving";
    const { digest } = content.addBlob({ repository, size });
    faults.add({ kind: "cdn_get", reference: digest }, { dripBytesPerSec: size });
    const arriving = openRaw(rig.blob(repository, digest));
    await ledger.until(({ kind, reference, bytesSent }) => kind === "cdn_get" && reference === digest && bytesSent > 0);
    for (const stranger of ["library/empty", "other/empty"])
      assert.equal((await askRaw(rig.blob(stranger, digest))).status, 404);
    const { end, bytes } = await arriving.answer;
    assert.deepEqual([end, bytes], ["whole", size]);
    assert.equal(ledger.count({ reference: digest, kind: "cdn_get" }), 1);
  });

  test("do not make secret what anybody can have", async () => {
    const before = rig.hub.ledger.count();
    const [{ digest } = { digest: "" }] = made.open.layers;
    assert.equal((await askRaw(rig.blob("library/empty", digest))).status, 200);
    assert.equal(rig.hub.ledger.count(), before);
  });
});

describe("clients", () => {
  /** bcrypt at the least cost, of ci-pass, dev-pass and ci-new. */
  const [ci, dev, renewed] = [
    "ci:$2b$04$qPac1k953NAtr9W5.pypvebk8iE4ZUyV1CHZ/hVEKgV.Xduu6Z7Gm\n",
    "dev:$2b$04$kB0XjbYRPuKEf96gkvhASO9b.XOuJKUn2qPPB/jpRDEPzrp77LBYO\n",
    "ci:$2b$04$wXR/Y5uU6x/I.8heKjaoAeAA0lsuO.3hTFx5RjRiLDqOYLZQxi5km\n",
  ];
  const as = (user: string, password: string): Record<string, string> => ({
    authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
  });
  const [asCi, asDev] = [as("ci", "ci-pass"), as("dev", "dev-pass")];
  const inOffice = "127.0.0.9";
  let rig: Rig;
  const digests: Record<string, string> = {};

  before(async () => {
    rig = await startRig({
      files: { htpasswd: ci + dev },
      config: (_, dir) => ({
        clients: {
          auth: { htpasswdFile: join(dir, "htpasswd") },
          rules: [
            { match: "docker.io/acme/open", users: ["ci", "dev"] },
            { match: "docker.io/acme/**", users: ["ci"] },
            { match: "docker.io/office/**", networks: [`${inOffice}/32`] },
            { match: "docker.io/nobody/**", deny: true },
          ],
        },
      }),
    });
    for (const repository of ["acme/open", "acme/app", "office/app", "nobody/app", "library/app"])
      digests[repository] = rig.hub.content.addImage({ repository, tag, layers: [] }).digest;
  });
  after(() => rig[Symbol.asyncDispose]());

  test("without a login of this cache get a challenge, and learn nothing", async () => {
    for (const headers of [{}, as("ci", "wrong"), as("nobody", "ci-pass"), { authorization: "Bearer x" }]) {
      for (const path of ["/v2/", `/v2/acme/app/manifests/${tag}`, "/v2/none/app/manifests/1"]) {
        const answer = await askRaw(rig.pullring.url + path, { headers });
        assert.equal(answer.status, 401);
        assert.match(answer.headers["www-authenticate"] ?? "", /^Basic realm="/);
        assert.equal(
          (JSON.parse(answer.body.toString()) as { errors: { code: string }[] }).errors[0]?.code,
          "UNAUTHORIZED",
        );
      }
    }
    assert.equal(rig.hub.ledger.count(), 0);
    assert.equal((await askRaw(`${rig.pullring.url}/v2/`, { headers: asCi })).status, 200);
  });

  test("get what the first rule that matches lets them; the rest is not there, in the words of what is not there", async () => {
    const allowed = [
      ["acme/open", asCi],
      ["acme/open", asDev],
      ["acme/app", asCi],
      ["library/app", asDev],
    ] as const;
    for (const [repository, headers] of allowed)
      assert.equal((await pull(rig.manifest(repository, tag), { headers })).digest, digests[repository], repository);
    const inside = { headers: asDev, localAddress: inOffice };
    assert.equal((await pull(rig.manifest("office/app", tag), inside)).digest, digests["office/app"]);

    const before = rig.hub.ledger.count();
    for (const [repository, headers] of [
      ["acme/app", asDev],
      ["office/app", asCi],
      ["nobody/app", asCi],
    ] as const) {
      for (const reference of [tag, digests[repository] ?? ""])
        for (const method of ["GET", "HEAD"])
          assert.equal((await askRaw(rig.manifest(repository, reference), { headers, method })).status, 404);
      assert.equal((await askRaw(rig.blob(repository, `sha256:${"0".repeat(64)}`), { headers })).status, 404);
      assert.equal((await askRaw(`${rig.pullring.url}/v2/${repository}/tags/list`, { headers })).status, 404);
    }
    assert.equal(rig.hub.ledger.count(), before);

    const denied = await askRaw(rig.manifest("nobody/app", "2"), { headers: asCi });
    const missing = await askRaw(rig.manifest("library/app", "2"), { headers: asCi });
    const codeOf = ({ body }: { body: Buffer }) =>
      (JSON.parse(body.toString()) as { errors: { code: string }[] }).errors.map(({ code }) => code);
    assert.deepEqual([denied.status, codeOf(denied)], [missing.status, codeOf(missing)]);
  });

  test("log in by what the file says now", async () => {
    await writeFile(join(rig.dir, "htpasswd"), renewed);
    const url = `${rig.pullring.url}/v2/`;
    const statusOf = async (headers: Record<string, string>) => (await askRaw(url, { headers })).status;
    await eventually(async () => (await statusOf(asDev)) === 401, { intervalMs: 50 });
    assert.deepEqual([await statusOf(asCi), await statusOf(as("ci", "ci-new"))], [401, 200]);

    assert.doesNotMatch(rig.pullring.logs(), /has no user/);
    await writeFile(join(rig.dir, "htpasswd"), "# nobody yet\n");
    await eventually(async () => (await statusOf(as("ci", "ci-new"))) === 401, { intervalMs: 50 });
    await eventually(() => /the password file has no user: every client is turned away/.test(rig.pullring.logs()));
  });
});

describe("an account that upstream does not let in", () => {
  let rig: Rig;
  const [general, own] = ["general-ci", "own-ci"];
  const right = "right-secret";
  const setPassword = (password: string): Promise<void> => writeFile(join(rig.dir, "password"), `${password}\n`);

  before(async () => {
    rig = await startRig({
      hub: {
        accounts: [
          { username: general, password: right },
          { username: own, password: right, repositories: ["own/**"] },
        ],
      },
      files: { password: `${right}\n` },
      config: (_, dir) => ({
        tags: { fresh: "0s" },
        accounts: [
          { name: "general", upstream, username: general, password: "wrong-secret" },
          { name: "own", upstream, username: own, passwordFile: join(dir, "password"), repositories: ["own/**"] },
        ],
      }),
    });
  });
  after(() => rig[Symbol.asyncDispose]());

  const logins = (): number => rig.hub.ledger.count({ origin: "token", authorization: "basic", status: [401, 429] });

  test("is asked for once, and the pull goes on anonymously", async () => {
    const images = Array.from({ length: 10 }, (_, index) =>
      rig.hub.content.addImage({ repository: `library/app-${index}`, tag, layers: [] }),
    );
    for (const [index, { digest }] of images.entries())
      assert.equal(await digestOf((await askRaw(rig.manifest(`library/app-${index}`, tag))).body), digest);
    assert.equal(logins(), 1);
    await eventually(() => /refuses the credentials of this account/.test(rig.pullring.logs()));
  });

  test("leaves what it alone may pull stale, or failing, and does not ask again and again", async () => {
    const { content } = rig.hub;
    const [repository, unknown] = ["own/app", "own/new"];
    const { digest } = content.addImage({ repository, tag, layers: [], private: true });
    content.addImage({ repository: unknown, tag, layers: [], private: true });
    const url = rig.manifest(repository, tag);
    assert.equal(await digestOf((await askRaw(url)).body), digest);

    await setPassword("rotten-secret");
    const before = logins();
    // Tokens run out until one had to be asked for by the new password.
    await eventually(async () => {
      rig.hub.advance(rig.hub.knobs.tokenLifetimeSec * 1000);
      return /stale/.test((await askRaw(url)).headers["cache-status"] ?? "");
    });
    for (let count = 0; count < 10; count++) {
      const answer = await askRaw(url);
      assert.deepEqual([answer.status, await digestOf(answer.body)], [200, digest]);
      assert.equal((await askRaw(rig.manifest(unknown, tag))).status, 503);
    }
    const { headers } = await askRaw(url);
    assert.match(headers["warning"] ?? "", /^110|upstream refuses our credentials/);
    assert.equal(logins() - before, 1);

    await setPassword(right);
    await eventually(async () => (await askRaw(rig.manifest(unknown, tag))).status === 200, { intervalMs: 50 });
    assert.equal(logins() - before, 1);
  });
});
