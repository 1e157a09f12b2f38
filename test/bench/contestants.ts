import { join } from "node:path";

import { mediaTypes } from "@pullring/testkit";

import { startRegistry } from "../real/docker-registry.ts";
import { pull } from "../real/http.ts";
import { cacheOf, type Nginx, startNginx } from "../real/nginx.ts";
import { cpuSec, rssPeakBytes } from "../real/proc.ts";
import type { Program } from "../real/program.ts";
import { startPullring } from "../real/pullring.ts";
import type { Content } from "./content.ts";
import { accept, type Target } from "./run-load.ts";

export type Name = "pullring" | "docker-registry" | "nginx cache" | "nginx static";

export interface Contestant extends AsyncDisposable {
  readonly name: Name;
  readonly port: number;
  cpuSec(): number;
  rssPeakBytes(): number;
  /** Has it serve this once, and checks that it serves the right bytes. */
  warm(target: Target): Promise<void>;
}

export interface OriginOptions {
  readonly dir: string;
  readonly content: Content;
  /** For each connection. */
  readonly bytesPerSec?: number;
}

/**
 * The upstream of all: static files under a registry's paths, from the page cache, by sendfile. It costs the machine less than
 * a registry would, and gives each the same.
 */
export function startOrigin({ dir, content, bytesPerSec }: OriginOptions): Promise<Nginx> {
  const limit = bytesPerSec === undefined ? "" : `limit_rate ${Math.round(bytesPerSec / 1024)}k;`;
  return startNginx({
    dir,
    workers: 2,
    server: `
      root ${content.root};
      ${limit}
      default_type application/octet-stream;
      location = /v2/ { default_type application/json; return 200 "{}"; }
      location ~ /manifests/ {
        default_type ${mediaTypes.ociManifest};
        add_header Docker-Content-Digest ${content.manifest.digest};
      }`,
  });
}

function contestant(name: Name, program: Program & { readonly url: string }): Contestant {
  return {
    name,
    port: Number(new URL(program.url).port),
    cpuSec: () => cpuSec(program.pid),
    rssPeakBytes: () => rssPeakBytes(program.pid),
    async warm({ path, size }) {
      const { status, digest, size: received } = await pull(program.url + path, { headers: { accept } });
      if (status === 200 && received === size && path.endsWith(digest)) return;
      throw new Error(`${name} answers ${path} by ${status}, ${received} bytes, ${digest}`);
    },
    [Symbol.asyncDispose]: () => program.stop(),
  };
}

const starters: Readonly<Record<Name, (dir: string, origin: Nginx) => Promise<Contestant>>> = {
  async pullring(dir, origin) {
    const upstreams = { "docker.io": { url: origin.url, allowPrivateAddresses: true } };
    return contestant("pullring", await startPullring({ dir, config: { upstreams } }));
  },
  async "docker-registry"(dir, origin) {
    return contestant("docker-registry", await startRegistry({ dir, proxyOf: origin.url }));
  },
  async "nginx cache"(dir, origin) {
    const cache = cacheOf(origin.url, join(dir, "cache"));
    return contestant("nginx cache", await startNginx({ dir, workers: 2, ...cache }));
  },
  async "nginx static"(_dir, origin) {
    return { ...contestant("nginx static", origin), [Symbol.asyncDispose]: () => Promise.resolve() };
  },
};

/** Starts one contestant, with nothing cached, in an empty folder. */
export const startContestant = (name: Name, options: { dir: string; origin: Nginx }): Promise<Contestant> =>
  starters[name](options.dir, options.origin);
