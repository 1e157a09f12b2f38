import { X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContextOptions, type Server } from "node:tls";

import type { Clock } from "@pullring/core";

import type { TlsFiles } from "../config/config.ts";
import { watchedFile } from "../config/watched-file.ts";
import type { Log } from "../observe/log.ts";

/** A rotated certificate is promised within 60 s. */
const recheckMs = 15_000;

export interface ServerTlsOptions {
  readonly files: TlsFiles;
  readonly clock: Clock;
  readonly log: Pick<Log, "info" | "error">;
}

export interface ServerTls {
  /** For `https.createServer`. */
  readonly options: SecureContextOptions & { readonly requestCert: boolean; readonly rejectUnauthorized: boolean };
  /** Gives the server what the files hold, whenever they change, until it closes. Connections that are open stay as they are. */
  follow(server: Server): void;
  /** No more looking at files. */
  close(): void;
}

/** Throws when the files are no certificate with its key at first; later such files leave the certificate as it was. */
export function openServerTls({ files, clock, log }: ServerTlsOptions): ServerTls {
  const servers = new Set<Server>();
  const closing = new AbortController();
  const texts = openTexts(files, { clock, log });
  let tried = texts();
  let context = contextOf(tried);

  function refresh(): void {
    const now = texts();
    if (now.join("\0") === tried.join("\0")) return;
    tried = now;
    try {
      context = contextOf(now);
    } catch (error) {
      // The two files of a pair do not change at once: the next look may find the other one.
      return log.error({ err: error, ...files }, "the new TLS files are not usable; the certificate stays as it was");
    }
    for (const server of servers) server.setSecureContext(context);
    log.info({ ...files, validTo: new X509Certificate(now[0]).validTo }, "TLS files changed and are in use");
  }

  async function poll(): Promise<void> {
    for (;;) {
      await clock.sleep(recheckMs, closing.signal);
      refresh();
    }
  }

  void poll().catch(() => undefined);
  const withClients = files.clientCaFile !== undefined;
  return {
    options: { ...context, requestCert: withClients, rejectUnauthorized: withClients },
    follow(server) {
      servers.add(server);
      server.setSecureContext(context);
      server.once("close", () => servers.delete(server));
    },
    close: () => closing.abort(),
  };
}

/** Certificate, key and, where clients need one, their authorities. */
type Texts = readonly [cert: string, key: string, clientCa?: string];

function openTexts(files: TlsFiles, { clock, log }: Pick<ServerTlsOptions, "clock" | "log">): () => Texts {
  const open = (path: string): (() => string) => {
    const file = watchedFile(path, {
      clock,
      parse: (text) => text,
      onError: (error) => log.error({ err: error, path }, "a TLS file can't be read; its text stays as it was"),
    });
    return () => file.current();
  };
  const [cert, key] = [open(files.certFile), open(files.keyFile)];
  const clientCa = files.clientCaFile === undefined ? undefined : open(files.clientCaFile);
  return () => (clientCa ? [cert(), key(), clientCa()] : [cert(), key()]);
}

/** Throws unless the texts make a context: OpenSSL compares the key with the certificate, but takes authorities as they come. */
function contextOf([cert, key, clientCa]: Texts): SecureContextOptions {
  if (clientCa !== undefined) void new X509Certificate(clientCa);
  const context: SecureContextOptions = { cert, key, minVersion: "TLSv1.2", ...(clientCa ? { ca: clientCa } : {}) };
  createSecureContext(context);
  return context;
}
