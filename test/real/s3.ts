import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { cephTools, startCeph } from "./ceph.ts";
import { needs } from "./needs.ts";
import type { Program } from "./program.ts";
import { askS3, type S3Login } from "./s3-request.ts";

export interface S3Server extends S3Login, AsyncDisposable {
  /** Empty, and of this server's user alone. */
  readonly bucket: string;
  /** What answers S3 requests, where it was started here: for tests that kill or freeze it. */
  readonly program: Program | undefined;
  /** Keys in the bucket that begin with the prefix. */
  keys(prefix?: string): Promise<string[]>;
  stop(): Promise<void>;
}

const given = process.env["PULLRING_TEST_S3"];
/** The login, as JSON, of a server that whoever runs many files has started for all that need none of their own. */
export const sharedS3 = "PULLRING_TEST_SHARED_S3";

/** For a suite's `skip`, as `needs`. */
export const needsS3 = (): string | false => (given === undefined ? needs(...cephTools) : false);

/** The S3 server that PULLRING_TEST_S3 names (PULLRING_TEST_S3_KEY and _SECRET its login), else one that is shared, else a Ceph of our own. */
export async function startS3({ mayShare = false } = {}): Promise<S3Server> {
  const bucket = `pullring-test-${randomBytes(8).toString("hex")}`;
  const shared = mayShare ? process.env[sharedS3] : undefined;
  if (given !== undefined) {
    const accessKeyId = process.env["PULLRING_TEST_S3_KEY"] ?? "";
    const secretAccessKey = process.env["PULLRING_TEST_S3_SECRET"] ?? "";
    return use({ endpoint: given.replace(/\/$/, ""), accessKeyId, secretAccessKey }, bucket);
  }
  if (shared !== undefined) return use(JSON.parse(shared) as S3Login, bucket);
  const dir = await mkdtemp(join(tmpdir(), "pullring-s3-"));
  const keys = { accessKeyId: "pullring", secretAccessKey: randomBytes(20).toString("hex") };
  const ceph = await startCeph({ dir, ...keys });
  const stop = async (): Promise<void> => {
    await ceph.stop();
    await rm(dir, { recursive: true, force: true });
  };
  const login = { endpoint: ceph.endpoint, ...keys };
  try {
    await makeBucket(login, bucket);
  } catch (error) {
    await stop();
    throw error;
  }
  return server(login, { bucket, program: ceph.gateway, stop });
}

async function use(login: S3Login, bucket: string): Promise<S3Server> {
  await makeBucket(login, bucket);
  return server(login, { bucket, program: undefined, stop: () => removeBucket(login, bucket) });
}

function server(login: S3Login, rest: Pick<S3Server, "bucket" | "program" | "stop">): S3Server {
  const keys = (prefix = ""): Promise<string[]> => list(login, rest.bucket, prefix);
  return { ...login, ...rest, keys, [Symbol.asyncDispose]: rest.stop };
}

async function makeBucket(login: S3Login, bucket: string): Promise<void> {
  const made = await askS3(login, { method: "PUT", target: `/${bucket}` });
  if (!made.ok) throw new Error(`no bucket: ${made.status} ${await made.text()}`);
}

/** ListObjectsV2, all pages. */
async function list(login: S3Login, bucket: string, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for (let after = ""; ; after = keys.at(-1) ?? "") {
    const query = `list-type=2&prefix=${encodeURIComponent(prefix)}&start-after=${encodeURIComponent(after)}`;
    const text = await (await askS3(login, { method: "GET", target: `/${bucket}?${query}` })).text();
    const page = [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map((match) => unescaped(match[1] ?? ""));
    keys.push(...page);
    if (page.length === 0 || !text.includes("<IsTruncated>true</IsTruncated>")) return keys;
  }
}

const entities: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
const unescaped = (text: string): string =>
  text.replaceAll(/&(\w+);/g, (whole, name: string) => entities[name] ?? whole);

async function removeBucket(login: S3Login, bucket: string): Promise<void> {
  for (const key of await list(login, bucket, ""))
    await askS3(login, { method: "DELETE", target: `/${bucket}/${key.split("/").map(encodeURIComponent).join("/")}` });
  await askS3(login, { method: "DELETE", target: `/${bucket}` });
}
