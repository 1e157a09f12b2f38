import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";

import { findTool } from "../real/needs.ts";

const marker = "PULLRING_TEST_BENCH_NAMESPACE";

/** What runs in the new namespace before the bench: the kernel's defaults, whatever this machine's own are. */
const prepare = `
ip link set lo up
echo "4096 131072 6291456" >/proc/sys/net/ipv4/tcp_rmem
echo reno >/proc/sys/net/ipv4/tcp_congestion_control
exec "$@"`;

export const congestionControl = (): string => readFileSync("/proc/sys/net/ipv4/tcp_congestion_control", "utf8").trim();

/**
 * Runs this program again in a network namespace that has only loopback, if it may. A machine set up for the internet (pacing by
 * BBR, say) would otherwise be what is measured. Answers the exit code, or undefined when it is to go on here.
 */
export async function inOwnNamespace(): Promise<number | undefined> {
  const unshare = process.getuid?.() === 0 && findTool("ip") !== undefined ? findTool("unshare") : undefined;
  if (unshare === undefined || process.env[marker] !== undefined) return undefined;
  const again = [process.execPath, ...process.argv.slice(1)];
  const child = spawn(unshare, ["-n", "--kill-child", "sh", "-ec", prepare, "sh", ...again], {
    stdio: "inherit",
    env: { ...process.env, [marker]: "1" },
  });
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}
