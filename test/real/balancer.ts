import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { ask, eventually } from "@pullring/testkit";

import { type Nginx, startNginx } from "./nginx.ts";

const deployed = (name: string): string => fileURLToPath(new URL(`../../deploy/nginx/${name}`, import.meta.url));

/** What `deploy/` has for nginx, as it is. */
export const ringKeyFile = deployed("ring-key.conf");
const proxyFile = deployed("proxy.conf");

export type BalancerKind = "ring" | "round robin";

export interface BalancerOptions {
  /** A folder of its own, made here. */
  readonly dir: string;
  readonly kind: BalancerKind;
  /** `host:port` of each node. */
  readonly servers: readonly string[];
}

export interface Balancer extends AsyncDisposable {
  readonly nginx: Nginx;
  readonly url: string;
  readonly host: string;
  /** Other servers from now on; requests under way end where they are. Resolves when new ones go by the new list. */
  setServers(servers: readonly string[]): Promise<void>;
}

/** nginx as `deploy/` sets it up, in front of nodes on loopback. */
export async function startBalancer({ dir, kind, servers }: BalancerOptions): Promise<Balancer> {
  const file = join(dir, "servers.conf");
  let generation = 0;
  const write = (list: readonly string[]): Promise<void> => {
    generation += 1;
    const choice = kind === "ring" ? "hash $ring_key consistent;" : "";
    const lines = list.map((server) => `server ${server} fail_timeout=2s;`).join(" ");
    const text = `upstream pullring { zone pullring 512k; ${choice} ${lines} keepalive 64; }
      map "" $balancer_generation { default ${generation}; }`;
    return writeFile(file, text);
  };
  await mkdir(dir, { recursive: true });
  await write(servers);
  const nginx = await startNginx({
    dir,
    http: `map_hash_bucket_size 128; include ${ringKeyFile}; include ${file};`,
    server: `include ${proxyFile}; location = /generation { return 200 $balancer_generation; }`,
  });
  return {
    nginx,
    url: nginx.url,
    host: nginx.host,
    async setServers(list) {
      await write(list);
      nginx.kill("SIGHUP");
      const isNew = async (): Promise<boolean> =>
        (await ask(`${nginx.url}/generation`)).body.toString() === `${generation}`;
      await eventually(isNew, { timeoutMs: 10_000, intervalMs: 10 });
    },
    [Symbol.asyncDispose]: () => nginx.stop(),
  };
}
