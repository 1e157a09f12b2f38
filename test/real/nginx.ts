import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { Certificates } from "./certificates.ts";
import { freePort, whenListening } from "./listening.ts";
import { type Program, startProgram } from "./program.ts";

export interface NginxOptions {
  /** An empty folder of its own. */
  readonly dir: string;
  /** The `server` block's content, and what else stands beside it in `http`. */
  readonly server: string;
  readonly http?: string;
  readonly tls?: Certificates;
  /** Default 1. */
  readonly workers?: number;
}

export interface Nginx extends Program {
  readonly url: string;
  readonly host: string;
}

const temporaryPaths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

function configuration(options: NginxOptions, host: string): string {
  const { dir, server, http = "", tls, workers = 1 } = options;
  const listen = tls
    ? `listen ${host} ssl; ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key};`
    : `listen ${host} backlog=4096;`;
  return `
    worker_processes ${workers};
    daemon off;
    user root;
    pid ${dir}/pid;
    error_log ${dir}/log warn;
    events { worker_connections 4096; }
    http {
      access_log off;
      sendfile on;
      tcp_nopush on;
      keepalive_requests 1000000;
      ${temporaryPaths.map((name) => `${name}_temp_path ${dir}/tmp/${name};`).join("\n")}
      ${http}
      server { ${listen} ${server} }
    }`;
}

/** nginx on loopback with one server. */
export async function startNginx(options: NginxOptions): Promise<Nginx> {
  const { dir, tls } = options;
  const host = `127.0.0.1:${await freePort()}`;
  await mkdir(join(dir, "tmp"), { recursive: true });
  await writeFile(join(dir, "nginx.conf"), configuration(options, host));
  const program = startProgram({
    command: "nginx",
    args: ["-c", join(dir, "nginx.conf"), "-p", dir, "-e", join(dir, "log")],
    logFile: join(dir, "out"),
    // Its workers outlive a master that is killed, not one that is told to end.
    orphanSignal: "TERM",
  });
  const url = `${tls ? "https" : "http"}://${host}`;
  const ready = await whenListening(program, { url, ...(tls && { ca: tls.caPem }) });
  return Object.assign(ready, { url, host });
}

/** A front that ends TLS, as most registries have one. */
export const tlsFrontOf = (upstream: string): Pick<NginxOptions, "server"> => ({
  server: `
    client_max_body_size 0;
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-Proto https;
    location / { proxy_pass ${upstream}; }`,
});

/** A caching reverse proxy of one registry that lets one request through per cold key; `folder` holds the cache. */
export const cacheOf = (upstream: string, folder: string): Pick<NginxOptions, "server" | "http"> => ({
  http: `
    proxy_cache_path ${folder} levels=1:2 keys_zone=registry:16m max_size=20g inactive=1d use_temp_path=off;
    upstream origin { server ${upstream.replace(/^https?:\/\//, "")}; keepalive 64; }`,
  server: `
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_cache registry;
    proxy_cache_lock on;
    proxy_cache_lock_timeout 10m;
    proxy_cache_lock_age 10m;
    proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;
    proxy_cache_key $uri;
    proxy_cache_valid 200 206 1d;
    location / { proxy_pass http://origin; }`,
});
