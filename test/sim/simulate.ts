import { seededRandom } from "../real/random.ts";
import { type Clients, makeClients } from "./clients.ts";
import { type Content, makeContent } from "./content.ts";
import { checkGets, checkHeld, checkPurges, checkRings } from "./checks.ts";
import { makeFaults, misses } from "./faults.ts";
import type { Plan } from "./plan.ts";
import type { Rings } from "./rings.ts";
import { makeSimClock } from "./sim-clock.ts";
import { makeSimCluster, type SimCluster } from "./sim-cluster.ts";
import type { RareState, World } from "./world.ts";

export interface Report {
  /** Promises that were broken. */
  readonly broken: readonly string[];
  readonly reached: ReadonlySet<RareState>;
  readonly trace: readonly string[];
}

/** The longest that a request may take: every wait on its way is bounded, and so are the faults. */
const requestMsMax = 240_000;
/** After the last fault: longer than all that is held against anybody, and the longest patience with a fill. */
const recoveryMs = 75_000;
const leaseMs = 20_000;
const lookMs = 1_000;

interface Run {
  readonly world: World;
  readonly content: Content;
  readonly cluster: SimCluster;
  readonly clients: Clients;
}

/** One run: a pure function of its plan. */
export async function simulate(plan: Plan, rings: Rings): Promise<Report> {
  const random = seededRandom(plan.seed);
  const clock = makeSimClock(random);
  const brokenPromises: string[] = [];
  const trace: string[] = [];
  const reached = new Set<RareState>();
  const note = (line: string): void => void trace.push(`${String(clock.monotonic()).padStart(7)}  ${line}`);
  const world: World = {
    plan,
    clock,
    random,
    note,
    reached: (state) => void reached.add(state),
    broken(what) {
      note(`BROKEN ${what}`);
      brokenPromises.push(what);
    },
    hop: () => clock.sleep(random.below(plan.jitterMs + 1)),
    severed: new Set(),
    liars: new Set(),
  };
  const content = makeContent(plan.blobs, random);
  const cluster = makeSimCluster(world, content, rings);
  const clients = makeClients({ world, content, cluster });
  const run = { world, content, cluster, clients };
  if (await disturb(run)) await recover(run);
  return { broken: brokenPromises, reached, trace };
}

/** Runs until all has settled; what takes longer than it may is a broken promise. */
async function untilAll(run: Run, what: string, work: Promise<unknown>): Promise<boolean> {
  const { world, cluster } = run;
  let isOver = false;
  const end = (): void => void (isOver = true);
  work.then(end, (error: unknown) => {
    world.broken(`${what} ended with ${error instanceof Error ? error.stack : String(error)}`);
    end();
  });
  for (let waitedMs = 0; !isOver && waitedMs < requestMsMax; waitedMs += lookMs) {
    await world.clock.runUntil(() => isOver, lookMs);
    cluster.waits.check();
  }
  if (!isOver) world.broken(`I5: ${what} never ends`);
  return isOver;
}

/** The plan's requests, while its faults come and go. */
async function disturb(run: Run): Promise<boolean> {
  const { world, clients } = run;
  const { plan } = world;
  const { nodes } = run.cluster;
  const faults = makeFaults(run);
  plan.misses.forEach((missed, index) => {
    const [node, other] = [nodes[index], nodes[missed]];
    if (node && other) misses(node, other.id);
  });
  if (!(await untilAll(run, "a start", run.cluster.boot()))) return false;
  const asked = Promise.all(plan.asks.map((ask) => clients.ask(ask)));
  const isOver = await untilAll(
    run,
    "a request",
    Promise.all([asked, ...plan.faults.map((fault) => faults.run(fault))]),
  );
  if (!isOver || plan.faults.length > 0) return isOver;
  for (const { what, error } of clients.refusals)
    if (error.code !== "missing") world.broken(`I9: ${what} was refused without any fault: ${error.stack}`);
  return true;
}

/** With nothing going wrong any more, everything can be pulled from everywhere, and at the least cost. */
async function recover(run: Run): Promise<void> {
  const { world, content, cluster } = run;
  const { clock } = world;
  const { nodes } = cluster;
  for (const node of nodes) node.members = nodes.map(({ id }) => id);
  const isQuiet = (): boolean => nodes.every(({ cache }) => cache.fills.list().length === 0);
  await clock.runUntil(() => false, recoveryMs);
  checkRings(run);
  if (!(await clock.runUntil(isQuiet, requestMsMax))) world.broken("I5: a fill never ends");
  checkHeld(run);
  checkPurges(run);
  checkGets(run);
  // Who was benched stays so until it is asked again, one request at a time: ordinary traffic has done that by now.
  for (const { membership } of nodes) for (const { id } of nodes) membership?.report(id, "ok");
  world.note("all faults have ended; everything is pulled from everywhere");
  const costs = content.items.map((item) => ({ item, ...costOf(run, item.digest) }));
  await untilAll(run, "a request after the faults", pullAll(run));
  for (const { item, before, isHeld } of costs) {
    const cost = costOf(run, item.digest).before - before;
    if (cost !== (isHeld ? 0 : 1))
      world.broken(`I10: ${cost} GETs after the faults for ${item.digest}, which was ${isHeld ? "" : "not "}held`);
  }
  if (!(await clock.runUntil(isQuiet, requestMsMax))) world.broken("I5: a fill never ends");
  checkHeld(run);
  // One that a lost reply left behind runs out by itself.
  if (!(await clock.runUntil(() => cluster.redis.rows().length === 0, leaseMs)))
    world.broken(`a lease is left: ${cluster.redis.rows().join(" ")}`);
}

/** How many GETs a digest has cost so far, and whether somebody has it. */
function costOf({ cluster, world }: Run, digest: string): { before: number; isHeld: boolean } {
  const { nodes, shared, upstream } = cluster;
  const places = [...nodes.map(({ store }) => store.held), ...(world.plan.hasShared ? [shared.held] : [])];
  return {
    before: upstream.gets.filter((get) => get.digest === digest && get.end !== "refused").length,
    isHeld: places.some((held) => [...held.keys()].some((key) => key === digest)),
  };
}

async function pullAll({ world, content, cluster, clients }: Run): Promise<void> {
  const pulls = cluster.nodes.flatMap((node) => [
    ...content.items.flatMap(({ kind, digest }) =>
      content.repositories
        .filter((repository) => content.has(repository, digest) || world.random.next() < 0.2)
        .map(async (repository) => {
          const outcome = await clients[kind](node, repository, digest);
          const isAllowed = content.has(repository, digest);
          if (isAllowed && outcome !== "served")
            world.broken(`I9: ${repository.name}@${digest} at ${node.id} is ${outcome} after the faults`);
        }),
    ),
    ...content.repositories.slice(0, 2).map(async (repository) => {
      const { digest } = await clients.tag(node, repository);
      if (digest !== content.tagged(repository).at(-1))
        world.broken(`I9: the tag of ${repository.name} at ${node.id} is ${digest} after the faults`);
    }),
  ]);
  await Promise.all(pulls);
}
