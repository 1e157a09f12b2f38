import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { digestOf } from "@pullring/testkit";

const run = promisify(execFile);

export interface ToolOptions {
  /** Storage and configuration; a tool that is run there again finds what it kept. */
  readonly dir: string;
  /** Which `host[:port][/path]` stands in for which registry, as registries.conf has it. */
  readonly mirrors?: Readonly<Record<string, string>>;
  readonly credentials?: string;
}

/** A port that nobody serves (discard): where a pull goes that its mirror refused, so that no test leaves the machine. */
const nowhere = "127.0.0.1:9";

const registriesConf = (mirrors: Readonly<Record<string, string>>): string =>
  [
    `[[registry]]\nprefix = "127.0.0.1"\nlocation = "127.0.0.1"\ninsecure = true\n`,
    ...Object.entries(mirrors).map(
      ([registry, mirror]) =>
        `[[registry]]\nprefix = "${registry}"\nlocation = "${nowhere}"\ninsecure = true\n` +
        `[[registry.mirror]]\nlocation = "${mirror}"\ninsecure = true\n`,
    ),
  ].join("\n");

async function prepare({ dir, mirrors = {} }: ToolOptions) {
  await mkdir(dir, { recursive: true });
  const file = (name: string): string => join(dir, name);
  await writeFile(file("registries.conf"), registriesConf(mirrors));
  await writeFile(file("policy.json"), JSON.stringify({ default: [{ type: "insecureAcceptAnything" }] }));
  await writeFile(file("containers.conf"), '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n');
  await writeFile(file("auth.json"), "{}");
  return {
    registries: file("registries.conf"),
    policy: file("policy.json"),
    env: {
      ...process.env,
      CONTAINERS_REGISTRIES_CONF: file("registries.conf"),
      CONTAINERS_CONF: file("containers.conf"),
      REGISTRY_AUTH_FILE: file("auth.json"),
      TMPDIR: dir,
    },
  };
}

/**
 * Copies an image with everything an index names into a folder of its own. The answer is that folder: the digest of each
 * file by its name, which for a blob is its digest already.
 */
export async function skopeoCopy(reference: string, options: ToolOptions): Promise<Record<string, string>> {
  const { registries, policy, env } = await prepare(options);
  const out = join(options.dir, "out");
  const login = options.credentials === undefined ? [] : ["--src-creds", options.credentials];
  await run(
    "skopeo",
    [
      "--registries-conf",
      registries,
      "--policy",
      policy,
      "copy",
      "-q",
      "--all",
      ...login,
      `docker://${reference}`,
      `dir:${out}`,
    ],
    { env },
  );
  const files = (await readdir(out)).sort();
  return Object.fromEntries(
    await Promise.all(files.map(async (name) => [name, await digestOf(await readFile(join(out, name)))] as const)),
  );
}

export interface PulledImage {
  /** Of the manifest that was pulled. */
  readonly digest: string;
  /** Of the configuration. */
  readonly id: string;
  /** Of the unpacked layers. */
  readonly layers: readonly string[];
}

/** Pulls an image into a store of its own and tells what came. */
export async function podmanPull(reference: string, options: ToolOptions): Promise<PulledImage> {
  const { env } = await prepare(options);
  const { dir } = options;
  const store = ["--root", join(dir, "root"), "--runroot", join(dir, "run"), "--storage-driver", "vfs"];
  const login = options.credentials === undefined ? [] : ["--creds", options.credentials];
  await run("podman", [...store, "--tmpdir", join(dir, "tmp"), "pull", "-q", ...login, reference], { env });
  const { stdout } = await run("podman", [...store, "--tmpdir", join(dir, "tmp"), "image", "inspect", reference], {
    env,
  });
  const [image] = JSON.parse(stdout) as [{ Digest: string; Id: string; RootFS: { Layers: string[] } }];
  return { digest: image.Digest, id: `sha256:${image.Id}`, layers: image.RootFS.Layers };
}
