import assert from "node:assert/strict";
import { mkdtempDisposable, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { digestOf } from "@pullring/testkit";

import { type ClientMachine, makeMachine, needsMachine, printedBy } from "../real/client-machine.ts";
import { type ClientNodes, startClientNodes } from "../real/client-nodes.ts";
import { needs } from "../real/needs.ts";

/** As each of them pulls an image into a store of its own; resolves to what tells that it came whole. */
const tools: Readonly<Record<string, (machine: ClientMachine, image: string) => Promise<string>>> = {
  async podman(machine, image) {
    const store = [
      "--root",
      join(machine.dir, "root"),
      "--runroot",
      join(machine.dir, "run"),
      "--storage-driver",
      "vfs",
    ];
    const all = [
      ...store,
      "--tmpdir",
      join(machine.dir, "tmp"),
      "--cgroup-manager",
      "cgroupfs",
      "--events-backend",
      "file",
    ];
    await machine.run("podman", [...all, "pull", "-q", image]);
    return machine.run("podman", [...all, "image", "inspect", "--format", "{{.Digest}}", image]);
  },
  async skopeo(machine, image) {
    const out = join(machine.dir, "out");
    await machine.run("skopeo", ["copy", "-q", "--all", `docker://${image}`, `dir:${out}`]);
    return digestOf(await readFile(join(out, "manifest.json")));
  },
  async buildah(machine, image) {
    const store = [
      "--root",
      join(machine.dir, "root"),
      "--runroot",
      join(machine.dir, "run"),
      "--storage-driver",
      "vfs",
    ];
    await machine.run("buildah", [...store, "pull", "-q", image]);
    return machine.run("buildah", [...store, "inspect", "--type", "image", "--format", "{{.FromImageDigest}}", image]);
  },
};

describe("what `pullring client podman` prints", { skip: needs("openssl") || needsMachine() }, () => {
  const stack = new AsyncDisposableStack();
  let nodes: ClientNodes;

  const folder = async (): Promise<string> =>
    stack.use(await mkdtempDisposable(join(tmpdir(), "pullring-client-"))).path;

  before(async () => {
    nodes = stack.use(await startClientNodes(await folder()));
  });
  after(() => stack.disposeAsync());

  for (const [tool, pull] of Object.entries(tools)) {
    describe(tool, { skip: needs(tool) }, () => {
      for (const scheme of ["http", "https"] as const) {
        test(`makes ${tool} pull Docker Hub's images through a node that serves ${scheme}`, async () => {
          const name = `${tool}-${scheme}`;
          const { image, digest } = nodes.addImage(name);
          const { plain, secure, certificates } = nodes;
          const args = scheme === "http" ? ["--url", plain.url] : ["--url", secure.url, "--ca", certificates.ca];
          await using machine = await makeMachine(await folder(), await printedBy("podman", ...args));
          assert.equal(await pull(machine, image), digest);
          assert.equal(nodes.fetches(name), 1);
        });
      }
    });
  }

  test(
    "is what the pulls hang on: without it, or without the authority, nothing comes",
    { skip: needs("skopeo") },
    async () => {
      const { image } = nodes.addImage("refused");
      const withoutAuthority = (await printedBy("podman", "--url", nodes.secure.url)).filter(
        ({ path }) => !path.endsWith("ca.crt"),
      );
      for (const files of [[], withoutAuthority]) {
        await using machine = await makeMachine(await folder(), files);
        await assert.rejects(tools["skopeo"]!(machine, image), /127\.0\.0\.1:443.*refused/);
      }
      assert.equal(nodes.fetches("refused"), 0);
    },
  );
});
