import { readdirSync, readFileSync } from "node:fs";

/** USER_HZ, in which /proc counts time on every Linux there is (time(7)). */
const ticksPerSec = 100;

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return "";
  }
}

/** proc_pid_stat(5): fields from the third on; the second, in parentheses, may hold anything. */
const statOf = (pid: number): readonly string[] =>
  readProc(pid, "stat")
    .replace(/^.*\) /s, "")
    .split(" ");

const parentOf = (pid: number): number => Number(statOf(pid)[1]);

/** A process and its children, such as nginx' workers. */
function family(pid: number): readonly number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return [pid, ...pids.map(Number).filter((other) => parentOf(other) === pid)];
}

const sumOver = (pid: number, read: (member: number) => number): number =>
  family(pid).reduce((sum, member) => sum + read(member), 0);

function statusBytes(pid: number, field: string): number {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readProc(pid, "status"));
  return found === null ? 0 : Number(found[1]) * 1024;
}

/** User and system time of every thread so far. */
export const cpuSec = (pid: number): number =>
  sumOver(pid, (member) => {
    const stat = statOf(member);
    return (Number(stat[11] ?? 0) + Number(stat[12] ?? 0)) / ticksPerSec;
  });

export const rssBytes = (pid: number): number => sumOver(pid, (member) => statusBytes(member, "VmRSS"));

/** The highest resident size since the start. */
export const rssPeakBytes = (pid: number): number => sumOver(pid, (member) => statusBytes(member, "VmHWM"));
