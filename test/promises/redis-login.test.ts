import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";

import { redisBeats } from "@pullring/cluster";
import { eventually, testCertificates } from "@pullring/testkit";

import { isUp, newDigest, redisNode, untilLeased } from "./redis-rig.ts";
import type { Certificates } from "../real/certificates.ts";
import { needsRedis, startRedis, startRedisCluster } from "../real/redis.ts";

/** The rules that the cluster package's README gives, for the user and prefix that it names. */
function documentedRules(): string {
  const readme = readFileSync(new URL("../../packages/cluster/README.md", import.meta.url), "utf8");
  return /^user pullring on (.*)$/m.exec(readme)?.[1] ?? assert.fail("no rules in the README");
}

const userLine = (password: string): string => `user pullring on >${password} ${documentedRules()}`;
const others = "user default off";

async function certificateFiles(t: TestContext): Promise<Certificates> {
  const { ca, server } = testCertificates();
  const dir = await mkdtemp(join(tmpdir(), "pullring-redis-tls-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const write = async (name: string, pem: string): Promise<string> => {
    await writeFile(join(dir, name), pem);
    return join(dir, name);
  };
  const [caFile, cert, key] = await Promise.all([
    write("ca.pem", ca),
    write("server.pem", server.cert),
    write("server-key.pem", server.key),
  ]);
  return { ca: caFile, cert, key, caPem: ca };
}

suite("who may use Redis", { skip: needsRedis() }, () => {
  test("the user of the README can do all that nodes do, and nothing outside its prefix", async (t) => {
    const server = await startRedis({ conf: [userLine("sesame"), others] });
    t.after(() => server.stop());
    const login = { url: server.url, username: "pullring", password: () => "sesame" };
    const [node, waiter] = ["n1", "n2"].map((self) => redisNode(t, self, login));
    assert.ok(node && waiter);
    await Promise.all([isUp(node), isUp(waiter)]);

    const digest = newDigest();
    const taken = await node.leases.acquire(digest);
    assert.equal(taken.state, "acquired");
    const held = await waiter.leases.acquire(digest);
    assert.ok(held.state === "held");
    const broken = await waiter.leases.acquire(digest, held.token);
    assert.ok(broken.state === "acquired");

    // A message comes through: who waits for an hour is told.
    let isTold = false;
    const waiting = node.leases.changed(digest, 3_600_000).then(() => (isTold = true));
    await eventually(async () => {
      const again = await waiter.leases.acquire(digest);
      if (again.state === "acquired") await again.lease.release();
      return isTold;
    });
    await waiting;

    const beats = redisBeats(node.redis);
    const own = { id: "n1", incarnation: "i".repeat(32), document: "{}", generation: "g".repeat(32), isNews: true };
    for (const mode of ["claim", "beat", "leave"] as const) assert.ok(await beats.exchange({ mode, ...own }));
    assert.equal(node.redis.state().up, true);

    const stranger = redisNode(t, "n3", { ...login, prefix: "other" });
    await isUp(stranger);
    assert.equal((await stranger.leases.acquire(newDigest())).state, "unavailable");
    assert.match(stranger.redis.state().reason ?? "", /NOPERM/);
  });

  test("it can do so in a database and in a Redis Cluster too", async (t) => {
    const server = await startRedis({ conf: [userLine("sesame"), others] });
    t.after(() => server.stop());
    const login = { username: "pullring", password: () => "sesame" };
    assert.ok(await untilLeased(redisNode(t, "n1", { url: `${server.url}/3`, ...login })));
    const servers = await startRedisCluster(2);
    t.after(() => Promise.all(servers.map((one) => one.stop())));
    for (const one of servers)
      await one
        .ask(`ACL SETUSER ${userLine("sesame").replace(/^user /, "")}`)
        .then((reply) => assert.equal(reply, "+OK\r\n"));
    assert.ok(await untilLeased(redisNode(t, "n1", { url: servers[0]?.url ?? "", cluster: true, ...login })));
  });

  test("a password that was replaced is used at the next connection, and one that is wrong is an outage", async (t) => {
    const server = await startRedis({ conf: ["requirepass first"] });
    t.after(() => server.stop());
    let password = "wrong";
    const node = redisNode(t, "n1", { url: server.url, password: () => password });
    assert.equal((await node.leases.acquire(newDigest())).state, "unavailable");
    await eventually(() => /WRONGPASS/.test(node.redis.state().reason ?? ""));
    password = "first";
    assert.ok((await untilLeased(node)) < 2_000);
  });

  test("TLS is spoken with whom our authority vouches for, and with a certificate where one is wanted", async (t) => {
    const server = await startRedis({ tls: await certificateFiles(t), conf: ["tls-auth-clients yes"] });
    t.after(() => server.stop());
    const { ca, client } = testCertificates();
    const own = { cert: () => client.cert, key: () => client.key };
    const trusting = redisNode(t, "n1", { url: server.url, tls: { ca: () => ca, ...own } });
    assert.ok((await untilLeased(trusting)) < 2_000);

    const anonymous = redisNode(t, "n2", { url: server.url, tls: { ca: () => ca } });
    const doubting = redisNode(t, "n3", { url: server.url, tls: own });
    for (const node of [anonymous, doubting])
      assert.equal((await node.leases.acquire(newDigest())).state, "unavailable");
    await eventually(() => /certificate/.test(doubting.redis.state().reason ?? ""));
    assert.equal(anonymous.redis.state().up, false);
  });
});
