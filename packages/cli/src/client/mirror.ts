import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";

import { CommandError, exitCodes } from "../exit-codes.ts";
import type { Mirror } from "./client-setup.ts";

/** The address that `--url` names. Throws CommandError for what no client could use, with what to write instead. */
export function parseMirror(text: string | undefined): Mirror {
  if (text === undefined) refuse("--url is missing: the mirror's address as clients reach it, http://HOST:PORT");
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? URL.parse(text) : null;
  if (!url) refuse(`--url: "${text}" is no address; write http://HOST:PORT, or https://HOST where TLS is served`);
  const { protocol, username, password, pathname, search, hash, host, hostname } = url;
  if (!/^https?:$/.test(protocol)) refuse(`--url: clients speak http or https, not ${protocol.slice(0, -1)}`);
  if (username !== "" || password !== "")
    refuse("--url holds a login: most clients refuse that; log in with the client");
  if (pathname !== "/") refuse(pathRefusal(text, pathname));
  if (search !== "" || hash !== "") refuse(`--url: "${search}${hash}" behind the address has no meaning to clients`);
  if (hostname === "0.0.0.0" || hostname === "[::]")
    refuse(`--url: ${hostname} is where a node listens; write the name or address by which clients reach it`);
  return { origin: url.origin, host, isPlain: protocol === "http:" };
}

/** Docker asks `/path/v2/…` or does not start, podman and BuildKit ask `/v2/path/…`, containerd whatever is written. */
const pathRefusal = (text: string, path: string): string =>
  `--url: "${text}" has a path. Clients put ${path} in different places (some in front of /v2/, some behind), and older Docker engines ` +
  "do not start with one. Give the address alone: each file says in its client's own way which registry is meant (--upstream NAME)";

export const isLoopback = /^(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/;

/** What to know of an address that is otherwise fine. */
export const mirrorHints = ({ host }: Mirror): readonly string[] =>
  isLoopback.test(host) ? [`${host} is this machine alone: clients elsewhere need its name or address`] : [];

function refuse(message: string): never {
  throw new CommandError(exitCodes.usage, message);
}

/** The text of `--ca`. */
export async function readAuthority(file: string): Promise<string> {
  try {
    const text = await readFile(file, "utf8");
    void new X509Certificate(text);
    return `${text.trimEnd()}\n`;
  } catch (error) {
    const reason = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    throw new CommandError(exitCodes.usage, `--ca: ${file} can't be read as a PEM certificate (${reason})`);
  }
}
