import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A promise taken out of the product. Whoever tests it must notice. */
interface Mutant {
  readonly name: string;
  readonly file: string;
  readonly text: string;
  readonly becomes: string;
  /** Each of these must turn red. */
  readonly noticedBy: readonly Check[];
}

/** Simulated clusters, simulated budgets, or test files. */
type Check = { readonly clusters: number } | { readonly budgets: number } | { readonly tests: string };

const leaseTests = { tests: "packages/cluster/src/lease/*.test.ts" };

const mutants: readonly Mutant[] = [
  {
    name: "no digest check",
    file: "packages/core/src/fill.ts",
    text: "if (found !== digest) throw",
    becomes: "if (found.length === 0) throw",
    noticedBy: [{ clusters: 1_000 }, { tests: "packages/core/src/fill*.test.ts" }],
  },
  {
    name: "no tail hold-back",
    file: "packages/core/src/left-spools.ts",
    text: "Math.min(end, size - limits.tailBytes)",
    becomes: "end",
    noticedBy: [{ clusters: 2_000 }, { tests: "packages/core/src/fill*.test.ts" }],
  },
  {
    name: "a leaf that asks a peer",
    file: "packages/core/src/serve-peers.ts",
    text: "blobs.openLeaf({ ...order, offset })",
    becomes: 'blobs.open({ ...order, role: "forward" })',
    noticedBy: [{ clusters: 2_000 }],
  },
  {
    name: "non-idempotent acquire: its script knows no lease of the same token",
    file: "packages/cluster/src/lease/scripts.ts",
    text: "if held[1] == ARGV[1] then\n  redis.call('PEXPIRE', KEYS[1], ARGV[4])\n  return {'mine'",
    becomes: "if false then\n  redis.call('PEXPIRE', KEYS[1], ARGV[4])\n  return {'mine'",
    noticedBy: [{ tests: "test/promises/redis-lease.test.ts" }],
  },
  {
    name: "non-idempotent acquire: each try has a token of its own",
    file: "packages/cluster/src/lease/redis-leases.ts",
    text: "await this.#ask(claim, superseding)",
    becomes: 'await this.#ask({ digest, token: randomBytes(tokenBytes).toString("hex") }, superseding)',
    noticedBy: [leaseTests],
  },
  {
    name: "a ring that shrinks on an empty read",
    file: "packages/cluster/src/membership/member-table.ts",
    text: "if (nowMs - this.#goodSinceMs < limits.expiryMs) return false;",
    becomes: "if (!beat) return true;",
    noticedBy: [{ tests: "packages/cluster/src/membership/*.test.ts" }],
  },
  {
    name: "purge without tombstone",
    file: "packages/core/src/purge.ts",
    text: "  entomb(tombstones, order);\n",
    becomes: "",
    noticedBy: [{ clusters: 1_000 }, { tests: "packages/core/src/*.test.ts" }],
  },
  {
    name: "a fill from before a purge that can be joined",
    file: "packages/core/src/fills.ts",
    text: "fill?.joinable() && !this.#isPurged(fill) ? fill",
    becomes: "fill?.joinable() ? fill",
    noticedBy: [{ clusters: 2_000 }, { tests: "packages/core/src/cluster.test.ts" }],
  },
  {
    name: "budgets without what is in flight",
    file: "packages/core/src/budget-row.ts",
    text: "Math.max(0, row.limit - row.used) - row.flights.size",
    becomes: "Math.max(0, row.limit - row.used)",
    noticedBy: [{ budgets: 200 }],
  },
  {
    name: "an answer's word is taken in whatever order it comes",
    file: "packages/core/src/budget-row.ts",
    text: "heard.seq > asked.seq",
    becomes: "heard.seq > seq",
    noticedBy: [{ budgets: 1_000 }],
  },
  {
    name: "what upstream tells of a refill is not believed",
    file: "packages/core/src/budget-row.ts",
    text: "const isOrdered = asked.seq > 0 && asked.seq >= row.horizon;",
    becomes: "const isOrdered = asked.seq < 0;",
    noticedBy: [{ budgets: 200 }],
  },
  {
    name: "a window that is over as soon as it may be",
    file: "packages/core/src/budget-row.ts",
    text: "now + windowSec * 1_001 + 1_000",
    becomes: "now + windowSec * 900",
    noticedBy: [{ budgets: 200 }],
  },
  {
    name: "counters that were lost begin anew",
    file: "packages/cluster/src/budgets/meeting.ts",
    text: "if (isMissed && !isIdle(known, Infinity)) restore",
    becomes: "if (isMissed && table.seq < 0) restore",
    noticedBy: [{ budgets: 1_000 }],
  },
  {
    name: "what was spent without the counters is not paid",
    file: "packages/cluster/src/budgets/meeting.ts",
    text: "if (row) payDebt(row",
    becomes: "if (row && table.seq < 0) payDebt(row",
    noticedBy: [{ tests: "test/promises/redis-budgets-faults.test.ts" }],
  },
  {
    name: "each node has all that is left while the counters are away",
    file: "packages/core/src/budget-merge.ts",
    text: "Math.floor(Math.max(0, remainingOf(row)) / among)",
    becomes: "Math.max(0, remainingOf(row))",
    noticedBy: [{ budgets: 1_000 }],
  },
];

const root = fileURLToPath(new URL("../..", import.meta.url));
const checkMsMax = 240_000;

/** Applies each mutant to a copy of the packages in `dir`; returns what stayed green. `say` is told of each check. */
export async function runMutants(dir: string, say: (line: string) => void): Promise<string[]> {
  await copyTo(dir);
  const survived: string[] = [];
  const checks = mutants.flatMap(({ noticedBy }) => noticedBy);
  for (const check of new Map(checks.map((check) => [nameOf(check), check])).values())
    if (await isRed(dir, check)) survived.push(`${nameOf(check)} is red without any mutant`);
  if (survived.length > 0) return survived;
  for (const { name, file, text, becomes, noticedBy } of mutants) {
    const original = await readFile(join(dir, file), "utf8");
    if (original.split(text).length !== 2) throw new Error(`${file} has not exactly one ${JSON.stringify(text)}`);
    await writeFile(
      join(dir, file),
      original.replace(text, () => becomes),
    );
    for (const check of noticedBy) {
      const startedAt = performance.now();
      const isNoticed = await isRed(dir, check);
      const tookSec = ((performance.now() - startedAt) / 1000).toFixed(1);
      say(`${isNoticed ? "red  " : "GREEN"}  ${name}: ${nameOf(check)}, ${tookSec} s`);
      if (!isNoticed) survived.push(`${nameOf(check)} stays green with: ${name}`);
    }
    await writeFile(join(dir, file), original);
  }
  return survived;
}

function nameOf(check: Check): string {
  if ("tests" in check) return check.tests;
  return "budgets" in check ? `${check.budgets} simulated budgets` : `${check.clusters} simulated clusters`;
}

/** Packages by name lead into the copy, all others to where they are installed. */
async function copyTo(dir: string): Promise<void> {
  for (const part of ["packages", "test", "package.json"])
    await cp(join(root, part), join(dir, part), { recursive: true });
  const modules = join(dir, "node_modules");
  await mkdir(join(modules, "@pullring"), { recursive: true });
  for (const name of await readdir(join(root, "node_modules")))
    if (name !== "@pullring") await symlink(join(root, "node_modules", name), join(modules, name));
  for (const name of await readdir(join(dir, "packages")))
    await symlink(join(dir, "packages", name), join(modules, "@pullring", name));
}

function argumentsOf(check: Check): string[] {
  if ("tests" in check) return ["--test", check.tests];
  const [kind, count] = "budgets" in check ? ["--quota-sim", check.budgets] : ["--sim", check.clusters];
  return ["test/soak/main.ts", kind, String(count), "--seed", "1"];
}

async function isRed(dir: string, check: Check): Promise<boolean> {
  const args = argumentsOf(check);
  const child = spawn(process.execPath, args, { cwd: dir, stdio: "ignore", timeout: checkMsMax });
  const [code] = (await once(child, "exit")) as [number | null];
  return code !== 0;
}
