import { type Bench, withContestants } from "../bench.ts";
import type { Report } from "../report.ts";
import { alternate, medianOf, type Sample, sample, warmUp } from "../rounds.ts";

const names = ["pullring", "docker-registry", "nginx static"] as const;
const connections = 64;
const speedMin = 12;

const perSec = ({ responses, seconds }: Sample): number => responses / seconds;
const cpuMicros = ({ responses, cpuSec }: Sample): number => (cpuSec / responses) * 1e6;

/** A cached manifest of 8 KB by its digest; by tag, docker-registry would ask the upstream each time. */
export const manifests = (bench: Bench): Promise<Report> =>
  withContestants(bench, { names }, async (contestants) => {
    const load = { targets: [bench.content.manifest], connections, forMs: bench.runMs };
    for (const name of names) await contestants[name].warm(bench.content.manifest);
    await warmUp(contestants, load);
    const figures = await alternate(names, {
      rounds: bench.rounds,
      measure: (name) => sample(contestants[name], load),
    });
    const ratio = medianOf(figures.pullring, perSec) / medianOf(figures["docker-registry"], perSec);
    return {
      title: "Manifests",
      verdicts: [
        { what: "docker-registry: manifest GETs per second", bound: { atLeast: speedMin }, measured: ratio, unit: "×" },
      ],
      table: [
        ["8 KB by digest × 64", ...names],
        ["requests/s", ...names.map((name) => medianOf(figures[name], perSec).toFixed(0))],
        ["CPU µs/request", ...names.map((name) => medianOf(figures[name], cpuMicros).toFixed(0))],
      ],
    };
  });
