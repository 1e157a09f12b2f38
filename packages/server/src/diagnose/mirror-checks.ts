import { connect, getCACertificates } from "node:tls";

import { ask } from "./ask.ts";
import { fail, ok, reasonOf, warn, type Check, type Finding } from "./finding.ts";
import { diagnoseLimits as limits } from "./limits.ts";

export interface MirrorOptions {
  /** As clients have it: http or https, without a path. */
  readonly url: URL;
  /** PEM that clients trust beside what their systems trust. */
  readonly ca?: string | undefined;
  readonly now: () => number;
}

export function mirrorChecks(options: MirrorOptions): readonly Check[] {
  const answer = { name: "mirror", run: () => answers(options) };
  return options.url.protocol === "https:" ? [{ name: "mirror's TLS", run: () => chain(options) }, answer] : [answer];
}

/** What clients trust is the system's store; Node's own list stands in where there is none. */
function authorities(ca: string | undefined): string[] {
  const system = getCACertificates("system");
  return [...(system.length > 0 ? system : getCACertificates("bundled")), ...(ca === undefined ? [] : [ca])];
}

interface Seen {
  readonly error: string | undefined;
  readonly validTo: number;
  readonly names: string;
}

async function chain({ url, ca, now }: MirrorOptions): Promise<Finding> {
  const seen = await handshake(url, authorities(ca)).catch((error: unknown) => reasonOf(error));
  if (typeof seen === "string")
    return fail(`no TLS with ${url.host}: ${seen}`, "see what the mirror itself answers, below");
  const { error, validTo, names } = seen;
  if (error !== undefined) return fail(`${url.host}: ${error}`, adviceOf(error, names, ca !== undefined));
  const days = Math.floor((validTo - now()) / 86_400_000);
  const found = `the certificate is trusted, for another ${days} days`;
  return days < limits.certificateDaysMin
    ? warn(found, "renew it; nodes read the new files within a minute, without a restart")
    : ok(found);
}

function handshake(url: URL, ca: string[]): Promise<Seen> {
  const { promise, resolve, reject } = Promise.withResolvers<Seen>();
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  // An address is no name to ask for (RFC 6066 §3).
  const servername = /^[\d.]+$|:/.test(host) ? {} : { servername: host };
  const port = Number(url.port === "" ? 443 : url.port);
  const socket = connect({ host, port, ...servername, ca, rejectUnauthorized: false });
  socket.setTimeout(limits.askMs, () => socket.destroy(new Error(`no answer in ${limits.askMs / 1000} s`)));
  // Later errors are of a server that wants a certificate of its clients, which is another question.
  socket.on("error", reject);
  socket.once("secureConnect", () => {
    const { valid_to: validTo, subjectaltname: names = "" } = socket.getPeerCertificate();
    // @types/node says Error, Node gives its code.
    const told: unknown = socket.authorized ? undefined : socket.authorizationError;
    resolve({ error: told === undefined ? undefined : wordOf(told), validTo: Date.parse(validTo), names });
    socket.destroy();
  });
  return promise;
}

const wordOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : String(error);

function adviceOf(error: string, names: string, hasAuthority: boolean): string {
  if (error.includes("ALTNAME"))
    return `the certificate is for ${names || "no name"}: use one of these in --url, or have one made for this name`;
  if (error === "CERT_HAS_EXPIRED") return "renew it; nodes read the new files within a minute, without a restart";
  if (error === "CERT_NOT_YET_VALID")
    return "the clock of this machine or of the one that made the certificate is wrong";
  const whole = "tls.cert must hold the certificate and, behind it, the intermediate ones";
  if (hasAuthority) return `it is not of the authority in --ca; ${whole}`;
  return `${whole}; for an authority of your own give clients its certificate: pullring client NAME --url … --ca FILE`;
}

async function answers({ url }: MirrorOptions): Promise<Finding> {
  try {
    const { status, headers } = await ask(new URL("/v2/", url), { anyCertificate: true });
    if (status === 401)
      return warn(
        `${url.host} asks for a login`,
        "podman and containerd can give one; Docker answers a mirror with the user's login to Docker Hub, so leave clients.auth away for it",
      );
    if (status === 403)
      return fail(`${url.host} refuses this address`, "clients.allow must hold the networks of the clients");
    if (status === 200 && headers["docker-distribution-api-version"] !== undefined) return ok(`${url.host} answers`);
    const other =
      "see which program that is: the address may be of a load balancer without nodes, or of something else";
    return fail(`${url.host} answers ${status} to /v2/, not as a registry does`, other);
  } catch (error) {
    const reason = reasonOf(error);
    const isSchemeWrong = /^(?:EPROTO|ECONNRESET|HPE_)|SSL/.test(reason);
    return fail(
      `${url.host} can't be asked: ${reason}`,
      isSchemeWrong
        ? "http where https is served, or the other way round?"
        : "does it run, on an address that clients reach (listen: 0.0.0.0:5000, not 127.0.0.1)? is a firewall between?",
    );
  }
}
