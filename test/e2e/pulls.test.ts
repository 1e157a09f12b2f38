import assert from "node:assert/strict";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { podmanPull, skopeoCopy } from "../real/container-tools.ts";
import { type Registry, startRegistry } from "../real/docker-registry.ts";
import { needs } from "../real/needs.ts";
import { type Pullring, startPullring } from "../real/pullring.ts";
import { bigSample, pushSamples, type Sample, samples } from "../real/samples.ts";
import { walk } from "../real/walk.ts";

/** Each form's way to a repository of the same registry, which is Docker Hub's stand-in and an upstream of its own name. */
const forms: Readonly<Record<string, (repository: string) => { readonly path: string; readonly query?: string }>> = {
  root: (repository) => ({ path: `/v2/${repository}` }),
  "?ns=": (repository) => ({ path: `/v2/${repository}`, query: "?ns=reg.test" }),
  "path-host": (repository) => ({ path: `/v2/reg.test/${repository}` }),
  "prefix by name": (repository) => ({ path: `/reg.test/v2/${repository}` }),
  "prefix by alias": (repository) => ({ path: `/reg.alias/v2/${repository}` }),
};

/** How a tool names an image so that it comes through Pullring: a mirror of Docker Hub, one with a path, or no mirror at all. */
const toolForms: Readonly<Record<string, (host: string) => { name: string; mirrors?: Record<string, string> }>> = {
  "a mirror of docker.io": (host) => ({ name: "docker.io", mirrors: { "docker.io": host } }),
  "a mirror with the registry in its path": (host) => ({
    name: "reg.test",
    mirrors: { "reg.test": `${host}/reg.test` },
  }),
  "the registry behind Pullring's own name": (host) => ({ name: `${host}/reg.test` }),
};

const tagOf = ({ repository, tag }: Sample): string => `${repository}:${tag}`;

/** What comes without Pullring is the same each time, and 400 MB are not cheap. */
function once<T>(pull: (sample: Sample) => Promise<T>): (sample: Sample) => Promise<T> {
  const pulled = new Map<Sample, Promise<T>>();
  return (sample) => {
    const found = pulled.get(sample) ?? pull(sample);
    pulled.set(sample, found);
    return found;
  };
}

describe("pulls through Pullring", { skip: needs("docker-registry") }, () => {
  const stack = new AsyncDisposableStack();
  let registry: Registry;
  let counter = 0;

  const folder = async (): Promise<string> =>
    stack.use(await mkdtempDisposable(join(tmpdir(), `pullring-e2e-${counter++}-`))).path;

  async function emptyPullring(): Promise<Pullring> {
    const reach = { url: registry.url, allowPrivateAddresses: true };
    const upstreams = { "docker.io": reach, "reg.test": { ...reach, aliases: ["reg.alias"] } };
    return startPullring({ dir: await folder(), config: { upstreams } });
  }

  const walked = once(({ repository, tag }) => walk(`${registry.url}/v2/${repository}`, tag));
  const copied = once(async (sample) => skopeoCopy(`${registry.host}/${tagOf(sample)}`, { dir: await folder() }));
  const pulled = once(async (sample) => podmanPull(`${registry.host}/${tagOf(sample)}`, { dir: await folder() }));

  before(async () => {
    registry = stack.use(await startRegistry({ dir: await folder() }));
    await pushSamples({ to: registry.url, withBig: true });
  });
  after(() => stack.disposeAsync());

  for (const [form, locate] of Object.entries(forms)) {
    describe(`plain HTTP, ${form}`, () => {
      let pullring: Pullring;
      before(async () => {
        pullring = await emptyPullring();
      });
      after(() => pullring.stop());

      for (const sample of Object.values(samples)) {
        test(`${sample.what} has the digests of a direct pull, cold and cached`, async () => {
          const direct = await walked(sample);
          const { path, query = "" } = locate(sample.repository);
          for (const _ of ["cold", "cached"]) {
            assert.deepEqual(await walk(pullring.url + path, sample.tag, { query }), direct);
          }
        });
      }
    });
  }

  test(`${bigSample.what} has the digests of a direct pull, cold and cached`, async () => {
    await using pullring = await emptyPullring();
    const direct = await walked(bigSample);
    for (const form of ["root", "prefix by name"]) {
      const { path } = forms[form]!(bigSample.repository);
      assert.deepEqual(await walk(pullring.url + path, bigSample.tag), direct);
    }
  });

  describe("skopeo copy", { skip: needs("skopeo") }, () => {
    for (const [form, locate] of Object.entries(toolForms)) {
      test(`through ${form} brings what a direct copy brings`, async () => {
        await using pullring = await emptyPullring();
        const { name, ...through } = locate(pullring.host);
        for (const sample of Object.values(samples)) {
          const came = await skopeoCopy(`${name}/${tagOf(sample)}`, { dir: await folder(), ...through });
          assert.deepEqual(came, await copied(sample), sample.what);
        }
      });
    }

    test(`brings ${bigSample.what}`, async () => {
      await using pullring = await emptyPullring();
      const mirrors = { "docker.io": pullring.host };
      const came = await skopeoCopy(`docker.io/${tagOf(bigSample)}`, { dir: await folder(), mirrors });
      const blobs = Object.values(await walked(bigSample)).filter((word) => /^sha256:\w+$/.test(word));
      assert.equal(blobs.length, 3);
      for (const digest of blobs) assert.equal(came[digest.slice("sha256:".length)], digest);
    });
  });

  describe("podman pull", { skip: needs("podman") }, () => {
    for (const [form, locate] of Object.entries(toolForms)) {
      test(`through ${form} brings what a direct pull brings`, async () => {
        await using pullring = await emptyPullring();
        const { name, ...through } = locate(pullring.host);
        for (const sample of [samples.single, samples.multi]) {
          const came = await podmanPull(`${name}/${tagOf(sample)}`, { dir: await folder(), ...through });
          assert.deepEqual(came, await pulled(sample), sample.what);
        }
      });
    }

    test(`brings ${bigSample.what}`, async () => {
      await using pullring = await emptyPullring();
      const mirrors = { "docker.io": pullring.host };
      const direct = await walked(bigSample);
      const { digest } = await podmanPull(`docker.io/${tagOf(bigSample)}`, { dir: await folder(), mirrors });
      assert.match(direct[`manifests/${bigSample.tag}`] ?? "", new RegExp(`^${digest} `));
    });
  });
});
