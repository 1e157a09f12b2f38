import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Certificates {
  /** Files. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly caPem: string;
}

const openssl = (...args: readonly string[]): Promise<unknown> => run("openssl", args);
const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
const extensions = "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1\nextendedKeyUsage=serverAuth\n";

/** An authority that nobody trusts by default, and a server certificate of it for loopback; made by openssl in `dir`. */
export async function makeCertificates(dir: string): Promise<Certificates> {
  const file = (name: string): string => join(dir, name);
  const [ca, caKey, cert, key] = [file("ca.pem"), file("ca.key"), file("server.pem"), file("server.key")];
  const [request, extensionFile] = [file("server.csr"), file("server.ext")];
  await writeFile(extensionFile, extensions);
  const authority = ["-CA", ca, "-CAkey", caKey, "-CAcreateserial"];
  await openssl("req", "-x509", ...newKey, "-days", "2", "-subj", "/CN=test authority", "-keyout", caKey, "-out", ca);
  await openssl("req", ...newKey, "-subj", "/CN=localhost", "-keyout", key, "-out", request);
  await openssl("x509", "-req", "-in", request, ...authority, "-days", "2", "-extfile", extensionFile, "-out", cert);
  return { ca, cert, key, caPem: await readFile(ca, "utf8") };
}
