// `npm run cluster`: what deploy/compose starts, as processes on loopback, for trying things by hand where no container engine runs.
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { type CatalogueRow, fillCatalogue } from "../packages/testkit/src/index.ts";
import { type Cluster, needsCluster, startCluster } from "../test/real/cluster.ts";

const usage = `npm run cluster -- [--nodes 3] [--s3] [--list] [--round-robin]

  --nodes        how many, 1 to 20
  --s3           share a bucket, at PULLRING_TEST_S3 or at a Ceph of its own (another 15 s)
  --list         a list of members instead of Redis
  --round-robin  a balancer that does not know the ring`;

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      nodes: { type: "string", default: "3" },
      s3: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      "round-robin": { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const nodes = Number(values.nodes);
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > 20)
    throw new Error(`--nodes is ${values.nodes}: want a whole number from 1 to 20`);
  return {
    help: values.help,
    nodes,
    s3: values.s3,
    members: values.list ? ("list" as const) : ("redis" as const),
    balancer: values["round-robin"] ? ("round robin" as const) : ("ring" as const),
  };
}

/** Of the catalogue's private image. */
const account = {
  name: "demo",
  upstream: "docker.io",
  username: "demo",
  password: "demo",
  repositories: ["acme/private"],
};

const say = (text: string): void => void process.stdout.write(`${text}\n`);

const rowOf = ({ id, url, adminUrl, dir }: Cluster["nodes"][number]): string =>
  `  ${id}  ${url}  ${adminUrl}  ${dir}/log`;

interface Shown {
  readonly cluster: Cluster;
  readonly images: readonly CatalogueRow[];
  readonly tokenFile: string;
}

const instructions = ({ cluster, images, tokenFile }: Shown): string => `
load balancer  ${cluster.url}
Docker Hub     ${cluster.hub.url}, a stand-in
Redis          ${cluster.redis?.url ?? "none"}
S3             ${cluster.s3 ? `${cluster.s3.endpoint}, bucket ${cluster.s3.bucket}` : "none"}
nodes, with their admin API and their log:
${cluster.nodes.map(rowOf).join("\n")}
admin token    ${tokenFile}, for what changes something: --token-file

images at the stand-in:
${images.map(({ image, what }) => `  ${image.padEnd(26)} ${what}`).join("\n")}

Pull one, ask who owns it, stop a node by its process' id and pull again:

  skopeo copy --src-tls-verify=false docker://${cluster.balancer.host}/library/alpine:3 dir:/tmp/alpine
  npx pullring owner docker.io/library/alpine:3 --admin ${cluster.nodes.at(-1)?.adminUrl}
  kill ${cluster.nodes[0]?.pullring.pid}

Ctrl-C ends all of it.`;

async function main(): Promise<void> {
  const { help, ...options } = parse(process.argv.slice(2));
  if (help) return say(usage);
  const missing = needsCluster(options);
  if (missing !== false) throw new Error(`it ${missing}`);
  const stopped = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  say(`starts ${options.nodes} nodes …`);
  await using cluster = await startCluster({ ...options, config: { accounts: [account] } });
  const tokenFile = join(cluster.dir, "admin-token");
  await writeFile(tokenFile, cluster.adminToken, { mode: 0o600 });
  say(instructions({ cluster, images: fillCatalogue(cluster.hub), tokenFile }));
  await stopped;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}\n`);
  process.exitCode = 1;
}
