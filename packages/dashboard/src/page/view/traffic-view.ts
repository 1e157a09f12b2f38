import { html, nothing, type TemplateResult } from "lit-html";

import { bytesSeries, hitSeries, tiersDrawn } from "../samples.ts";
import type { State } from "../state.ts";
import { bytesText, percent } from "../words.ts";
import type { ChartOptions } from "./chart.ts";

const hits: ChartOptions = {
  title: "Served without upstream",
  rows: [{ label: "share", colour: "--good" }],
  max: 1,
  text: percent,
  isStacked: false,
};

const traffic: ChartOptions = {
  title: "To clients, by tier",
  rows: tiersDrawn.map((tier) => ({ label: tier, colour: `--${tier}` })),
  least: 1000,
  text: (value) => `${bytesText(value)}/s`,
  isStacked: true,
};

export function trafficView({ samples, tiers, ring }: State): TemplateResult {
  const rows = tiers ?? [];
  return html`<section class="card traffic" aria-labelledby="traffic-title">
    <h2 id="traffic-title">Traffic of ${ring?.self ?? "this node"}</h2>
    <div class="charts">
      ${chart(hits, hitSeries(samples), lastHits(samples))} ${chart(traffic, bytesSeries(samples), undefined)}
    </div>
    <h3>At rest, in the cluster</h3>
    <div class="scroll" tabindex="0" role="region" aria-label="What is at rest">
      <table>
        <thead>
          <tr>
            <th scope="col">node</th>
            <th scope="col">tier</th>
            <th scope="col" class="figure">bytes</th>
            <th scope="col" class="figure">objects</th>
            <th scope="col" class="figure">hits</th>
            <th scope="col" class="figure">evicted</th>
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            ({ node, tier, bytes, objects, hits: served, evictions }) =>
              html`<tr>
                <th scope="row">${node}</th>
                <td>${tier}</td>
                <td class="figure">${bytes === null ? "–" : bytesText(bytes)}</td>
                <td class="figure">${objects ?? "–"}</td>
                <td class="figure">${served}</td>
                <td class="figure">${evictions ?? "–"}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}

function lastHits(samples: State["samples"]): string {
  const [, row = []] = hitSeries(samples);
  const last = row.findLast((value) => value !== null);
  return last === undefined || last === null ? "no requests yet" : percent(last);
}

function chart(
  options: ChartOptions,
  series: ReturnType<typeof hitSeries>,
  figure: string | undefined,
): TemplateResult {
  return html`<figure>
    <figcaption>${options.title}${figure === undefined ? nothing : html` <strong>${figure}</strong>`}</figcaption>
    <pull-chart
      .options=${options}
      .series=${series}
      role="img"
      aria-label="${options.title}${figure === undefined ? "" : `: ${figure}`}"
    ></pull-chart>
  </figure>`;
}
