import { html, nothing, type TemplateResult } from "lit-html";

import type { Lane } from "../answers.ts";
import type { State } from "../state.ts";
import { fromNow, timeOf } from "../words.ts";

/** Below it a gauge is red; twice that, yellow. */
const lowShare = 0.2;

export function quotaView({ lanes, now }: State): TemplateResult {
  const counted = lanes?.filter(({ budget }) => budget !== null) ?? [];
  return html`<section class="card" aria-labelledby="quota-title" aria-busy=${lanes ? "false" : "true"}>
    <h2 id="quota-title">Quota</h2>
    ${lanes && counted.length === 0 ? html`<p class="faint">No upstream here has a quota.</p>` : nothing}
    <ul class="lanes">
      ${counted.map((lane) => laneView(lane, now))}
    </ul>
  </section>`;
}

function laneView(lane: Lane, now: number): TemplateResult {
  const { upstream, account, egress, node, limit, remaining } = lane;
  const name = `${account ?? "anonymous"} by ${egress} on ${node}`;
  const isKnown = typeof limit === "number" && typeof remaining === "number" && limit > 0;
  return html`<li>
    <div class="lane-head">
      <span><strong>${upstream}</strong> ${name}</span>
      <span class="figure"
        >${isKnown ? `${remaining} of ${limit} left` : lane.unmetered === true ? "unmetered" : "not told yet"}</span
      >
    </div>
    ${
      isKnown
        ? html`<meter
            min="0"
            max=${limit}
            low=${limit * lowShare}
            high=${limit * lowShare * 2}
            optimum=${limit}
            .value=${remaining}
            aria-label="${upstream} ${name}: ${remaining} of ${limit} left"
          ></meter>`
        : nothing
    }
    <p class="faint">${notesOf(lane, now).join(" · ")}</p>
  </li>`;
}

function notesOf({ source, spent, coolDownUntil, benched, forecast }: Lane, now: number): readonly string[] {
  const pausedUntil = coolDownUntil === null || coolDownUntil === undefined ? 0 : timeOf(coolDownUntil);
  const emptyAt = forecast?.emptyAt === null || forecast?.emptyAt === undefined ? undefined : timeOf(forecast.emptyAt);
  return [
    `${spent ?? 0} spent`,
    ...(source === null ? [] : [`charged to ${source}`]),
    ...(benched ? [`benched: ${benched}`] : []),
    ...(pausedUntil > now ? [`paused, again ${fromNow(pausedUntil, now)}`] : []),
    ...(emptyAt !== undefined && emptyAt > now ? [`at this rate empty ${fromNow(emptyAt, now)}`] : []),
  ];
}
