import { once } from "node:events";
import { createServer } from "node:net";

import type { ListenAddress } from "../config/index.ts";
import { ask } from "./ask.ts";
import { fail, ok, reasonOf, warn, type Check, type Finding } from "./finding.ts";

export interface PortCheckOptions {
  /** The setting that names the address. */
  readonly setting: string;
  readonly address: ListenAddress;
  readonly isTls: boolean;
  /** Whether what listens there tells who it is; the listener for peers tells strangers nothing. */
  readonly tellsHealth: boolean;
}

/** The address is free, or it is Pullring that listens there. */
export function portCheck({ setting, address, isTls, tellsHealth }: PortCheckOptions): Check {
  const { host, port } = address;
  const text = `${host.includes(":") ? `[${host}]` : host}:${port}`;

  async function taken(): Promise<Finding> {
    if (!tellsHealth)
      return warn(`${text} is in use`, `fine if this node runs; else see who has it: ss -ltnp 'sport = :${port}'`);
    if (await isPullring(localUrl(address, isTls))) return ok(`${text}, served by Pullring`);
    return fail(
      `${text} is in use by something else`,
      `see who has it (ss -ltnp 'sport = :${port}') and end it, or set ${setting} to another port`,
    );
  }

  return {
    name: `port of ${setting}`,
    // It listens there itself to see whether it can, and hangs up on who comes.
    isFirst: true,
    async run() {
      const server = createServer();
      try {
        server.listen({ host, port, exclusive: true });
        await once(server, "listening");
        return ok(`${text} is free`);
      } catch (error) {
        const reason = reasonOf(error);
        if (reason === "EADDRINUSE") return await taken();
        if (reason === "EACCES")
          return fail(
            `${text} may not be opened by this user`,
            "use a port above 1023, or give it CAP_NET_BIND_SERVICE",
          );
        if (reason === "EADDRNOTAVAIL")
          return fail(`${host} is no address of this machine`, `set ${setting} to one that it has: ip addr`);
        return fail(`${text}: ${reason}`, `set ${setting} to an address of this machine`);
      } finally {
        server.close();
      }
    },
  };
}

/** Every address of this machine is reached by loopback too. */
function localUrl({ host, port }: ListenAddress, isTls: boolean): URL {
  const near = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return new URL(`${isTls ? "https" : "http"}://${near.includes(":") ? `[${near}]` : near}:${port}`);
}

/** Both listeners answer `/readyz` in these words. */
async function isPullring(url: URL): Promise<boolean> {
  try {
    const { body } = await ask(new URL("/readyz", url), { anyCertificate: true });
    return /^(?:ok|degraded|draining)\b/.test(body);
  } catch {
    return false;
  }
}
