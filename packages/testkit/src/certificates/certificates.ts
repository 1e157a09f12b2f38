import { readFileSync } from "node:fs";

const text = (name: string): string => readFileSync(new URL(`${name}.pem`, import.meta.url), "utf8");

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

const certificate = (name: string): Certificate => ({ cert: text(name), key: text(`${name}-key`) });

/** PEM texts for tests on loopback: an authority, two server certificates of it, and one for a client. Their keys are public. */
export const testCertificates = (): { ca: string; server: Certificate; renewed: Certificate; client: Certificate } => ({
  ca: text("ca"),
  server: certificate("server"),
  renewed: certificate("renewed"),
  client: certificate("client"),
});
