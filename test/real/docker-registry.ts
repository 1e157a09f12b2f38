import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { freePort, whenListening } from "./listening.ts";
import { type Program, startProgram } from "./program.ts";

export interface RegistryOptions {
  /** An empty folder of its own: configuration, log and data. */
  readonly dir: string;
  /** Where its data is when others have it too; default in `dir`. */
  readonly data?: string;
  /** Makes it a pull-through cache of that registry. */
  readonly proxyOf?: string;
  /** Wants Basic authentication by `registryLogin`. */
  readonly isPrivate?: boolean;
  readonly tls?: { readonly cert: string; readonly key: string };
}

export interface Registry extends Program {
  readonly url: string;
  /** `host:port`, as image references want it. */
  readonly host: string;
}

export const registryLogin = { username: "acme", password: "open-sesame" } as const;

/** `registryLogin` as `htpasswd -B` writes it; the lowest cost, because it is checked on every request. */
const htpasswdLine = "acme:$2b$04$/eVUaDretyxhbCgRKANzxOI5dBuLWSMTrjSrklA84ehOLaJskdyZO\n";

/** Debian's docker-registry on loopback. */
export async function startRegistry(options: RegistryOptions): Promise<Registry> {
  const { dir, data = join(dir, "data"), proxyOf, isPrivate = false, tls } = options;
  const host = `127.0.0.1:${await freePort()}`;
  const config = {
    version: "0.1",
    log: { level: "warn", accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: data, maxthreads: 100 },
      cache: { blobdescriptor: "inmemory" },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http: { addr: host, secret: "loopback", ...(tls && { tls: { certificate: tls.cert, key: tls.key } }) },
    ...(isPrivate && { auth: { htpasswd: { realm: "test", path: join(dir, "htpasswd") } } }),
    ...(proxyOf !== undefined && { proxy: { remoteurl: proxyOf } }),
  };
  await writeFile(join(dir, "htpasswd"), htpasswdLine);
  // JSON is YAML.
  await writeFile(join(dir, "config.yml"), JSON.stringify(config));
  const program = startProgram({
    command: "docker-registry",
    args: ["serve", join(dir, "config.yml")],
    env: { OTEL_TRACES_EXPORTER: "none" },
    logFile: join(dir, "log"),
  });
  const url = `${tls ? "https" : "http"}://${host}`;
  const ready = await whenListening(program, { url: `${url}/v2/`, ...(tls && { ca: tls.cert }) });
  return Object.assign(ready, { url, host });
}
