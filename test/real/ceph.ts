import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { eventually } from "@pullring/testkit";

import { freePort, whenListening } from "./listening.ts";
import { findTool } from "./needs.ts";
import { type Program, startProgram } from "./program.ts";

export const cephTools = ["ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin"] as const;

export interface CephOptions {
  /** An empty folder of its own. */
  readonly dir: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface Ceph {
  readonly endpoint: string;
  /** The S3 face; the daemons behind it go on when it is killed or stopped by signal. */
  readonly gateway: Program;
  stop(): Promise<void>;
}

const execute = promisify(execFile);
const commandTimeoutMs = 30_000;
/** A sparse file: only what is written takes room. */
const diskBytes = 20 * 1024 ** 3;
const cacheBytes = 128 * 1024 ** 2;

/** One of each, on loopback, nothing replicated and nobody authenticated between them: for tests only. */
function configuration(dir: string, fsid: string, ports: { mon: number; s3: number }): string {
  return `
    [global]
    fsid = ${fsid}
    run_dir = ${dir}/run
    log_file = ${dir}/log/$name.log
    admin_socket = ${dir}/run/$name.asok
    pid_file =
    crash_dir = ${dir}/log
    mon_host = v2:127.0.0.1:${ports.mon}
    public_addr = 127.0.0.1
    cluster_addr = 127.0.0.1
    public_network = 127.0.0.0/8
    ms_bind_ipv6 = false
    auth_cluster_required = none
    auth_service_required = none
    auth_client_required = none
    keyring = ${dir}/keyring
    osd_pool_default_size = 1
    osd_pool_default_min_size = 1
    osd_pool_default_pg_num = 8
    osd_pool_default_pgp_num = 8
    osd_pool_default_pg_autoscale_mode = off
    osd_crush_chooseleaf_type = 0
    mon_allow_pool_size_one = true
    mon_max_pg_per_osd = 1000
    mon_data_avail_warn = 1
    mon_data_avail_crit = 1
    [mon]
    mon_data = ${dir}/mon
    mon_cluster_log_file =
    [osd]
    osd_data = ${dir}/osd
    osd_objectstore = bluestore
    bluestore_block_size = ${diskBytes}
    bluestore_block_create = true
    bluestore_cache_autotune = false
    bluestore_cache_size = ${cacheBytes}
    osd_op_num_shards = 2
    [client.test]
    rgw_data = ${dir}/rgw
    # The gateway insists on the secure mode, which is not to be had without authentication.
    ms_mon_client_mode = crc
    rgw_frontends = beast endpoint=127.0.0.1:${ports.s3}
    debug_rgw = 0
    rgw_thread_pool_size = 64
  `.replaceAll(/^ +/gm, "");
}

/** Debian's Ceph with its S3 gateway: monitor, one object store on a file, radosgw. Takes some 15 s. */
export async function startCeph({ dir, accessKeyId, secretAccessKey }: CephOptions): Promise<Ceph> {
  const fsid = randomUUID();
  const ports = { mon: await freePort(), s3: await freePort() };
  const conf = join(dir, "ceph.conf");
  const programs: Program[] = [];
  const run = (command: string, ...args: readonly string[]): Promise<unknown> =>
    execute(findTool(command) ?? command, args, { timeout: commandTimeoutMs });
  const daemon = (command: string, ...args: readonly string[]): Program => {
    const program = startProgram({ command, args: ["-c", conf, "-f", ...args], logFile: join(dir, `${command}.out`) });
    programs.unshift(program);
    return program;
  };
  const stop = async (): Promise<void> => {
    for (const program of programs) await program.stop();
  };

  try {
    for (const folder of ["mon", "osd", "run", "rgw", "log"]) await mkdir(join(dir, folder), { recursive: true });
    await writeFile(join(dir, "keyring"), "");
    await writeFile(conf, configuration(dir, fsid, ports));
    const monmap = join(dir, "monmap");
    const where = `[v2:127.0.0.1:${ports.mon}]`;
    await run("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "test", where, monmap);
    await run("ceph-mon", "-c", conf, "--mkfs", "-i", "test", "--monmap", monmap);
    daemon("ceph-mon", "-i", "test");
    const osd = randomUUID();
    const ceph = (...args: readonly string[]): Promise<unknown> => run("ceph", "-c", conf, ...args);
    await eventually(() => ceph("osd", "new", osd).then(Boolean, () => false), { timeoutMs: commandTimeoutMs });
    await run("ceph-osd", "-c", conf, "-i", "0", "--mkfs", "--osd-uuid", osd);
    daemon("ceph-osd", "-i", "0");
    await ceph("osd", "crush", "add", "osd.0", "1.0", "root=default", "host=test");
    const login = [`--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`];
    await run(
      "radosgw-admin",
      "-n",
      "client.test",
      "-c",
      conf,
      "user",
      "create",
      "--uid=test",
      "--display-name=test",
      ...login,
    );
    const endpoint = `http://127.0.0.1:${ports.s3}`;
    const gateway = await whenListening(daemon("radosgw", "-n", "client.test"), { url: endpoint, timeoutMs: 60_000 });
    return { endpoint, gateway, stop };
  } catch (cause) {
    await stop();
    throw new Error(`Ceph did not start:\n${programs.map((program) => program.logs()).join("\n")}`, { cause });
  }
}
