import { once } from "node:events";
import { parseArgs } from "node:util";
import { type CatalogueRow, fillCatalogue } from "./catalogue.ts";
import { type Hub, startHub } from "./hub.ts";

const usage = `npm run hub -- [--port 5100] [--seed 1] [--limit 100]

  --port   the registry's; the token origin and the two CDNs take the three after it; 0 lets the kernel choose
  --seed   other seeds, other digests
  --limit  anonymous pulls per six hours`;

function numberIn(text: string, name: string, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= max) return value;
  throw new Error(`--${name} is ${text}: want a whole number from 0 to ${max}`);
}

function parse(args: string[]) {
  const { values } = parseArgs({
    args,
    options: {
      port: { type: "string", default: "5100" },
      seed: { type: "string", default: "1" },
      limit: { type: "string", default: "100" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  return {
    help: values.help,
    port: numberIn(values.port, "port", 65_532),
    seed: numberIn(values.seed, "seed", 0xffff_ffff),
    anonymousLimit: numberIn(values.limit, "limit", Number.MAX_SAFE_INTEGER),
  };
}

const instructions = (hub: Hub, rows: readonly CatalogueRow[]): string => `Docker Hub stand-in on ${hub.url}
(token origin ${hub.tokenOrigin}, CDNs ${hub.cdnOrigins.join(" and ")})

${rows.map(({ image, digest, what }) => `  ${image.padEnd(26)} ${digest.slice(0, 19).padEnd(20)} ${what}`).join("\n")}

Point Pullring at it: write this to a file, say hub.yaml, for npm start -- --config hub.yaml:

upstreams:
  docker.io: { url: "${hub.url}", tokenOrigins: ["${hub.tokenOrigin}"], allowPrivateAddresses: true }
accounts:
  - { name: demo, upstream: docker.io, username: demo, password: demo, repositories: ["acme/private"] }

Ctrl-C ends it.`;

async function main(): Promise<void> {
  const { help, port, ...options } = parse(process.argv.slice(2));
  if (help) {
    console.log(usage);
    return;
  }
  const ports = port === 0 ? {} : { registry: port, token: port + 1, cdns: [port + 2, port + 3] as const };
  const hub = await startHub({ ...options, ports });
  const stopped = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  console.log(instructions(hub, fillCatalogue(hub)));
  await stopped;
  await hub.close();
}

try {
  await main();
} catch (error) {
  console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  process.exitCode = 1;
}
