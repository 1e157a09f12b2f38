import { execFile } from "node:child_process";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { openS3 } from "@pullring/storage";
import { eventually, type S3Double } from "@pullring/testkit";

import type { ClusterNode } from "../real/cluster-node.ts";
import type { Cluster } from "../real/cluster.ts";
import { keptFiles, spools, wrongFiles } from "../real/disk.ts";
import { pull } from "../real/http.ts";
import type { KillContent } from "./cluster-kill-content.ts";

/** What `pullring ledger check --json` says, as far as it is looked at. */
export interface LedgerVerdict {
  readonly code: number;
  readonly killed: number;
  readonly lines: number;
  readonly lost: number;
  readonly rules: readonly {
    readonly promise: number;
    readonly title: string;
    readonly checked: number;
    readonly excused: number;
    readonly violations: number;
  }[];
  readonly violations: readonly { promise: number; file: string; line: number; what: string }[];
}

const command = fileURLToPath(new URL("../../packages/cli/src/main.ts", import.meta.url));
const logCharsMax = 6000;
const ledgerBytesMax = 64 * 1024 * 1024;

/**
 * Runs the command as its users do. A kill may cost one GET beyond those that explain themselves: another node is asked while it takes
 * the dead one's place, and on a busy machine in vain.
 */
export function checkLedger(dirs: readonly string[], kills: number): Promise<LedgerVerdict> {
  const args = [command, "ledger", "check", ...dirs, "--json", "--allow-extra", String(kills)];
  return new Promise((resolve, reject) => {
    const child = execFile(process.execPath, args, { maxBuffer: ledgerBytesMax }, (error, stdout, stderr) => {
      if (stdout === "") reject(error ?? new Error(stderr));
      else resolve({ ...(JSON.parse(stdout) as Omit<LedgerVerdict, "code">), code: child.exitCode ?? -1 });
    });
  });
}

/** What can't be pulled from some node, though nothing goes wrong any more. */
export async function lostContent({ nodes }: Cluster, { blobs }: KillContent): Promise<readonly string[]> {
  const lost: string[] = [];
  for (const [index, { repository, digest }] of blobs.entries()) {
    const node = nodes[index % nodes.length] as ClusterNode;
    let seen = "";
    const isServed = async (): Promise<boolean> => {
      const answer = await pull(`${node.url}/v2/${repository}/blobs/${digest}`).catch(() => undefined);
      seen = answer ? `${answer.status} ${answer.head.subarray(0, 300).toString("latin1")}` : "no whole answer";
      return answer?.status === 200 && answer.digest === digest;
    };
    // Pauses after a body that was cut (10 s) among them.
    await eventually(isServed, { timeoutMs: 30_000, intervalMs: 200 }).catch(() =>
      lost.push(`${digest} at ${node.id}: ${seen}; its log: ${node.pullring.logs().slice(-logCharsMax)}`),
    );
  }
  return lost;
}

export interface DiskVerdict {
  readonly wrong: readonly string[];
  readonly leftovers: readonly string[];
  readonly kept: number;
}

/** For nodes that have been started since they were last killed, and stopped. */
export async function lookAtDisks({ nodes }: Cluster): Promise<DiskVerdict> {
  const found = { wrong: [] as string[], leftovers: [] as string[], kept: 0 };
  for (const { id, pullring } of nodes) {
    const kept = await keptFiles(pullring.disk);
    found.kept += kept.length;
    found.wrong.push(...wrongFiles(kept).map(({ name, digest }) => `${id}: file ${name} holds ${digest}`));
    found.leftovers.push(...(await spools(pullring.disk)).map((name) => `${id}: spool ${name}`));
  }
  return found;
}

export interface Bucket {
  readonly bucket: string;
  readonly region: string;
  readonly forcePathStyle: boolean;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** How the product cleans up behind killed nodes, two hours later: uploads in parts that are left afterwards have leaked. */
export async function runJanitor({ endpoint, uploads }: S3Double, { accessKeyId, ...rest }: Bucket): Promise<number> {
  const quiet = (): void => {};
  const laterMs = 2 * 3_600_000;
  const s3 = await openS3({
    ...rest,
    endpoint,
    prefix: "",
    expireMs: 0,
    credentials: { accessKeyId, secretAccessKey: () => rest.secretAccessKey },
    local: { open: () => Promise.resolve(undefined), stat: () => undefined },
    clock: {
      now: () => Date.now() + laterMs,
      monotonic: () => performance.now(),
      sleep: (ms, signal) => sleep(ms, undefined, signal ? { signal } : {}),
    },
    random: Math.random,
    log: { info: quiet, warn: quiet },
    observe: quiet,
  });
  // Closed before anything is counted: this janitor tries the endpoint out too, with an upload in parts of its own.
  try {
    await s3.sweep();
  } finally {
    await s3.close();
  }
  return uploads.size;
}
