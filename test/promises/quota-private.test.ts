import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";

import { type Hub, mediaTypes } from "@pullring/testkit";

import { type Cluster, needsCluster, startCluster } from "../real/cluster.ts";
import { pull, type PullOptions } from "../real/http.ts";

const tag = "1";
const accept = [mediaTypes.ociIndex, mediaTypes.ociManifest].join(", ");
const acme = { username: "acme-ci", password: "acme-secret", repositories: ["acme/**"] };
/** Sees the same, and is not meant for it. */
const spare = { username: "spare-ci", password: "spare-secret", repositories: ["acme/**"] };
const inOffice = "127.0.0.9";

suite("private repositories of a cluster", { skip: needsCluster(), timeout: 120_000 }, () => {
  let cluster: Cluster;
  let made: ReturnType<typeof fill>;

  function fill({ content }: Hub) {
    const image = (repository: string, isPrivate = false) =>
      content.addImage({ repository, tag, layers: [300_000], private: isPrivate });
    const ours = ["acme/app", "acme/web", "acme/job"].map((repository) => ({
      repository,
      image: image(repository, true),
    }));
    for (const repository of ["acme/empty", "library/empty"])
      content.addRepository({ repository, private: repository.startsWith("acme") });
    return {
      ours,
      open: ["library/a", "library/b", "library/c"].map((repository) => ({ repository, image: image(repository) })),
    };
  }

  before(
    async () => {
      const config = ({ username, password }: typeof acme, name: string) => ({
        name,
        upstream: "docker.io",
        username,
        password,
      });
      cluster = await startCluster({
        balancer: "none",
        hub: { accounts: [acme, spare] },
        config: {
          accounts: [{ ...config(acme, "acme"), repositories: acme.repositories }, config(spare, "spare")],
          egress: ["127.0.0.2", "127.0.0.3"].map((localAddress, index) => ({ name: `address-${index}`, localAddress })),
          tags: { fresh: "0s" },
          clients: { rules: [{ match: "docker.io/acme/web", networks: [`${inOffice}/32`] }] },
        },
      });
      made = fill(cluster.hub);
    },
    { timeout: 60_000 },
  );
  after(() => cluster.stop());

  const nodes = [0, 1, 2] as const;
  const ask = (at: number, path: string, options: PullOptions = {}) =>
    pull(`${cluster.nodes[at]?.url}/v2/${path}`, { ...options, headers: { accept, ...options.headers } });

  /** Whoever asked upstream for one of them, its tokens included; undefined = nobody's login. */
  function whoAskedFor(owner: string): ReadonlySet<string | undefined> {
    const asked = cluster.hub.ledger.filter(({ origin, repository, query }) =>
      origin === "token"
        ? scopeOf(query).startsWith(`repository:${owner}/`)
        : repository?.startsWith(`${owner}/`) === true,
    );
    // Where a redirect leads nobody logs in.
    return new Set(asked.filter(({ origin }) => !origin.startsWith("cdn")).map(({ account }) => account));
  }

  test("are asked for by the account that is held to them, whatever is asked for and of whichever node; all else by the others", async () => {
    const { content } = cluster.hub;
    for (const at of nodes)
      for (const { repository, image } of [...made.ours, ...made.open]) {
        const options = { localAddress: inOffice };
        const manifest = await ask(at, `${repository}/manifests/${tag}`, options);
        assert.deepEqual([manifest.status, manifest.digest], [200, image.digest], repository);
        for (const { digest } of [image.config, ...image.layers])
          assert.equal((await ask(at, `${repository}/blobs/${digest}`, options)).digest, digest);
        assert.equal((await ask(at, `${repository}/tags/list`, options)).status, 200);
        assert.equal((await ask(at, `${repository}/referrers/${image.digest}`, options)).status, 200);
        assert.equal((await ask(at, `${repository}/manifests/none-${at}`, options)).status, 404);
        content.addImage({ repository, tag: `of-n${at}`, layers: [10], private: repository.startsWith("acme") });
        assert.equal((await ask(at, `${repository}/manifests/of-n${at}`, options)).status, 200);
      }
    assert.deepEqual(whoAskedFor("acme"), new Set([acme.username]));
    assert.deepEqual(whoAskedFor("library"), new Set([spare.username, undefined]));
  });

  test("are asked for by nobody else when that account has nothing left", async () => {
    const { content, quota, ledger } = cluster.hub;
    const [{ repository, image } = made.ours[0]!] = made.ours;
    quota.setRemaining(0, { account: acme.username });
    ledger.clear();
    content.addImage({ repository, tag, layers: [10], private: true });
    for (const at of nodes) {
      content.addImage({ repository, tag: `late-${at}`, layers: [10], private: true });
      assert.equal((await ask(at, `${repository}/manifests/late-${at}`)).status, 503);
      const stale = await ask(at, `${repository}/manifests/${tag}`);
      assert.deepEqual([stale.status, stale.digest], [200, image.digest]);
      assert.match(String(stale.headers["warning"]), /stale: upstream limits our requests/);
    }
    assert.deepEqual(whoAskedFor("acme"), new Set([acme.username]));
    assert.equal(ledger.count({ counted: true }), 0);
    content.moveTag(repository, tag, image.digest);
  });

  test("have bytes that no node serves under another repository, not even one of the same account", async () => {
    const [app, web] = made.ours;
    assert.ok(app && web);
    cluster.hub.ledger.clear();
    const strangers = ["library/empty", "acme/empty", "library/none"].map((repository) => ({ repository, of: app }));
    for (const { repository, of } of [...strangers, { repository: app.repository, of: web }])
      for (const at of nodes) {
        for (const { digest } of [of.image.config, ...of.image.layers])
          for (const options of [{}, { method: "HEAD" }, { headers: { range: "bytes=0-9" } }]) {
            const { status } = await ask(at, `${repository}/blobs/${digest}`, options);
            assert.equal(status, 404, `${repository} at n${at + 1}`);
          }
        assert.equal((await ask(at, `${repository}/manifests/${of.image.digest}`)).status, 404);
      }
    assert.equal(cluster.hub.ledger.count({ origin: ["cdn0", "cdn1"] }), 0);
  });

  test("are not there for a client outside `clients.rules`, on any node, and upstream hears nothing of it", async () => {
    const web = made.ours.find(({ repository }) => repository === "acme/web");
    assert.ok(web);
    cluster.hub.ledger.clear();
    const { digest } = web.image;
    const [{ digest: layer } = { digest: "" }] = web.image.layers;
    for (const at of nodes)
      for (const what of [
        `manifests/${tag}`,
        "manifests/new",
        `manifests/${digest}`,
        `blobs/${layer}`,
        "tags/list",
        `referrers/${digest}`,
      ])
        for (const method of ["GET", "HEAD"])
          assert.equal((await ask(at, `acme/web/${what}`, { method })).status, 404, `${method} ${what} at n${at + 1}`);
    assert.deepEqual(cluster.hub.ledger.entries, []);
    for (const at of nodes)
      assert.equal((await ask(at, `acme/web/blobs/${layer}`, { localAddress: inOffice })).digest, layer);
  });
});

const scopeOf = (query: string): string => new URLSearchParams(query).get("scope") ?? "";
