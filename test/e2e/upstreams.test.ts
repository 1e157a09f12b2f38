import assert from "node:assert/strict";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { makeCertificates } from "../real/certificates.ts";
import { type Registry, registryLogin, startRegistry } from "../real/docker-registry.ts";
import { pull } from "../real/http.ts";
import { needs } from "../real/needs.ts";
import { startNginx, tlsFrontOf } from "../real/nginx.ts";
import { startPullring } from "../real/pullring.ts";
import { pushSamples, samples } from "../real/samples.ts";
import { walk } from "../real/walk.ts";

const { repository, tag } = samples.multi;
const manifestPath = `/v2/reg.test/${repository}/manifests/${tag}`;

/** Folders that go when the suite ends, after what runs in them. */
function scratch() {
  const stack = new AsyncDisposableStack();
  const folder = async (): Promise<string> => stack.use(await mkdtempDisposable(join(tmpdir(), "pullring-e2e-"))).path;
  return { stack, folder };
}

describe("a registry that wants Basic authentication", { skip: needs("docker-registry") }, () => {
  const { stack, folder } = scratch();
  const { username, password } = registryLogin;
  const headers = { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` };
  let registry: Registry;

  before(async () => {
    registry = stack.use(await startRegistry({ dir: await folder(), isPrivate: true }));
    await pushSamples({ to: registry.url, headers });
  });
  after(() => stack.disposeAsync());

  async function pullringWith(secret: string | undefined) {
    const dir = await folder();
    const passwordFile = join(dir, "password");
    await writeFile(passwordFile, `${secret ?? ""}\n`);
    const account = { name: "acme", upstream: "reg.test", username, passwordFile };
    const upstreams = { "reg.test": { url: registry.url, allowPrivateAddresses: true } };
    return startPullring({ dir, config: { upstreams, ...(secret === undefined ? {} : { accounts: [account] }) } });
  }

  test("is pulled from by an account, with the digests of a direct pull", async () => {
    await using pullring = await pullringWith(password);
    for (const sample of Object.values(samples)) {
      const direct = await walk(`${registry.url}/v2/${sample.repository}`, sample.tag, { headers });
      assert.deepEqual(await walk(`${pullring.url}/v2/reg.test/${sample.repository}`, sample.tag), direct, sample.what);
    }
    assert.equal(pullring.logs().includes(password), false);
  });

  for (const [what, secret] of [
    ["without an account", undefined],
    ["with a wrong password", "wrong"],
  ] as const) {
    test(`is not pulled from ${what}`, async () => {
      await using pullring = await pullringWith(secret);
      const { status, headers: answered } = await pull(pullring.url + manifestPath);
      assert.ok(status === 404 || status === 503, `status ${status}`);
      assert.equal(answered["www-authenticate"], undefined);
    });
  }
});

describe(
  "a registry behind TLS by an authority of its own",
  { skip: needs("docker-registry", "nginx", "openssl") },
  () => {
    const { stack, folder } = scratch();
    let registry: Registry;
    let front: { readonly url: string };
    let certificates: Awaited<ReturnType<typeof makeCertificates>>;

    before(async () => {
      registry = stack.use(await startRegistry({ dir: await folder() }));
      await pushSamples({ to: registry.url });
      certificates = await makeCertificates(await folder());
      front = stack.use(await startNginx({ dir: await folder(), ...tlsFrontOf(registry.url), tls: certificates }));
    });
    after(() => stack.disposeAsync());

    const upstream = (trust: object) => ({
      upstreams: { "reg.test": { url: front.url, allowPrivateAddresses: true, ...trust } },
    });

    test("is pulled from when its authority is configured, with the digests of a direct pull", async () => {
      await using pullring = await startPullring({ dir: await folder(), config: upstream({ ca: certificates.ca }) });
      for (const sample of Object.values(samples)) {
        const direct = await walk(`${registry.url}/v2/${sample.repository}`, sample.tag);
        assert.deepEqual(
          await walk(`${pullring.url}/v2/reg.test/${sample.repository}`, sample.tag),
          direct,
          sample.what,
        );
      }
    });

    test("is refused when it is not", async () => {
      await using pullring = await startPullring({ dir: await folder(), config: upstream({}) });
      assert.equal((await pull(pullring.url + manifestPath)).status, 503);
    });

    test("serves clients by TLS too", async () => {
      const { cert, key, ca, caPem } = certificates;
      const config = { ...upstream({ ca }), tls: { cert, key } };
      await using pullring = await startPullring({ dir: await folder(), config });
      const direct = await walk(`${registry.url}/v2/${repository}`, tag);
      assert.deepEqual(await walk(`${pullring.url}/v2/reg.test/${repository}`, tag, { ca: caPem }), direct);
      await assert.rejects(pull(pullring.url + manifestPath), /self-signed|unable to verify|unable to get/);
    });
  },
);
