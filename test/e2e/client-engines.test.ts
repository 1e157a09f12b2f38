import assert from "node:assert/strict";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { eventually } from "@pullring/testkit";

import { type ClientMachine, makeMachine, needsMachine, printedBy } from "../real/client-machine.ts";
import { type ClientNodes, startClientNodes } from "../real/client-nodes.ts";
import { criPull } from "../real/cri-pull.ts";
import { needs } from "../real/needs.ts";
import type { Program } from "../real/program.ts";

const stack = new AsyncDisposableStack();
let nodes: ClientNodes;

const folder = async (): Promise<string> => stack.use(await mkdtempDisposable(join(tmpdir(), "pullring-engine-"))).path;

const machineWith = async (files: Awaited<ReturnType<typeof printedBy>>): Promise<ClientMachine> =>
  stack.use(await makeMachine(await folder(), files));

/** Waits until a daemon answers its client. */
async function whenAnswering(daemon: Program, asked: () => Promise<unknown>): Promise<Program> {
  const answers = async (): Promise<boolean> => {
    if (!daemon.isRunning) throw new Error(`it ended:\n${daemon.logs()}`);
    return asked().then(
      () => true,
      () => false,
    );
  };
  await eventually(answers, { timeoutMs: 30_000, intervalMs: 100 });
  return daemon;
}

before(async () => {
  if (needsMachine() === false && needs("openssl") === false) nodes = stack.use(await startClientNodes(await folder()));
});
after(() => stack.disposeAsync());

describe(
  "what `pullring client containerd` prints",
  { skip: needs("openssl", "containerd", "ctr") || needsMachine() },
  () => {
    let machine: ClientMachine;
    let socket: string;

    before(async () => {
      machine = await machineWith([]);
      socket = join(machine.dir, "sock");
      const config = [
        "version = 2",
        `root = "${machine.dir}/root"`,
        `state = "${machine.dir}/state"`,
        `[grpc]\n  address = "${socket}"`,
        `[ttrpc]\n  address = "${socket}.ttrpc"`,
        `[plugins."io.containerd.internal.v1.opt"]\n  path = "${machine.dir}/opt"`,
        '[plugins."io.containerd.grpc.v1.cri".containerd]\n  snapshotter = "native"',
        // As the command's own words have it.
        '[plugins."io.containerd.grpc.v1.cri".registry]\n  config_path = "/etc/containerd/certs.d"',
      ];
      await machine.write([{ path: "/etc/containerd/config.toml", contents: `${config.join("\n")}\n` }]);
      await whenAnswering(machine.start("containerd", []), () => machine.run("ctr", ["-a", socket, "version"]));
    });

    const ctrPull = (image: string): Promise<string> =>
      machine.run("ctr", [
        "-a",
        socket,
        "images",
        "pull",
        "--snapshotter",
        "native",
        "--hosts-dir",
        "/etc/containerd/certs.d",
        image,
      ]);

    test("is what pulls hang on: before it is there, nothing comes", async () => {
      const { image } = nodes.addImage("ctr-refused");
      await assert.rejects(ctrPull(image), /127\.0\.0\.1:443.*refused/s);
      assert.equal(nodes.fetches("ctr-refused"), 0);
    });

    for (const scheme of ["http", "https"] as const) {
      test(`makes ctr and Kubernetes' runtime interface pull through a node that serves ${scheme}`, async () => {
        const url =
          scheme === "http" ? ["--url", nodes.plain.url] : ["--url", nodes.secure.url, "--ca", nodes.certificates.ca];
        // Without a restart: the file is read at each pull.
        await machine.write(await printedBy("containerd", ...url));
        const byCtr = nodes.addImage(`ctr-${scheme}`);
        await ctrPull(byCtr.image);
        const listed = await machine.run("ctr", ["-a", socket, "images", "ls", `name==${byCtr.image}`]);
        assert.ok(listed.includes(byCtr.digest), listed);
        const byCri = nodes.addImage(`cri-${scheme}`);
        await criPull(socket, byCri.image);
        const known = await machine.run("ctr", ["-a", socket, "-n", "k8s.io", "images", "ls", `name==${byCri.image}`]);
        assert.ok(known.includes(byCri.digest), known);
        assert.deepEqual([nodes.fetches(`ctr-${scheme}`), nodes.fetches(`cri-${scheme}`)], [1, 1]);
      });
    }
  },
);

describe(
  "what `pullring client docker` prints",
  { skip: needs("openssl", "dockerd", "docker") || needsMachine() },
  () => {
    test("makes an engine pull through the node, and through another one after a reload", async () => {
      const machine = await machineWith(await printedBy("docker", "--url", nodes.plain.url));
      const { dir } = machine;
      const socket = `unix://${dir}/sock`;
      const run = (...args: readonly string[]) => machine.run("docker", ["-H", socket, ...args]);
      const places = ["--data-root", `${dir}/data`, "--exec-root", `${dir}/exec`, "--pidfile", `${dir}/pid`];
      // It must not touch this machine's own network.
      const apart = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"];
      const daemon = machine.start("dockerd", ["--storage-driver", "vfs", "-H", socket, ...places, ...apart]);
      const engine = await whenAnswering(daemon, () => run("version"));
      const mirrors = () => run("info", "--format", "{{.RegistryConfig.Mirrors}}");

      async function pull(name: string): Promise<void> {
        const { image, digest } = nodes.addImage(name);
        await run("pull", "-q", image);
        assert.match(await run("image", "inspect", "--format", "{{.RepoDigests}}", image), new RegExp(`@${digest}`));
        assert.equal(nodes.fetches(name), 1);
      }

      assert.equal(await mirrors(), `[${nodes.plain.url}/]`);
      await pull("docker-http");
      await machine.write(await printedBy("docker", "--url", nodes.secure.url, "--ca", nodes.certificates.ca));
      // `systemctl reload docker` sends this (docker.service: ExecReload).
      engine.kill("SIGHUP");
      await eventually(async () => (await mirrors()) === `[${nodes.secure.url}/]`, { timeoutMs: 10_000 });
      await nodes.plain.stop();
      await pull("docker-https");
    });
  },
);
