import { html, nothing, type TemplateResult } from "lit-html";

import type { State } from "../state.ts";
import { percent } from "../words.ts";
import { colourOf } from "./ring-view.ts";

export function nodesView({ ring, missing }: State): TemplateResult {
  if (!ring) return html`<section class="card" aria-busy="true"><h2>Nodes</h2></section>`;
  return html`<section class="card" aria-labelledby="nodes-title">
    <h2 id="nodes-title">Nodes</h2>
    ${missing.length > 0 ? html`<p class="bad" role="status">No answer from ${missing.join(", ")}</p>` : nothing}
    <div class="scroll" tabindex="0" role="region" aria-labelledby="nodes-title">
      <table>
        <thead>
          <tr>
            <th scope="col">node</th>
            <th scope="col">state</th>
            <th scope="col" class="figure">share</th>
            <th scope="col" class="figure">weight</th>
            <th scope="col" class="figure">heard of</th>
            <th scope="col">ring name</th>
          </tr>
        </thead>
        <tbody>
          ${ring.nodes.map(
            ({ id, state, benched, share, weight, lastSeenMs, ringName }) =>
              html`<tr>
                <th scope="row">
                  <span class="dot ${colourOf(ring, id)}"></span>${id}${id === ring.self ? " (this)" : ""}
                </th>
                <td><span class="state ${benched ? "benched" : state}">${benched ? "benched" : state}</span></td>
                <td class="figure">${percent(share)}</td>
                <td class="figure">${weight}</td>
                <td class="figure">${id === ring.self ? "–" : `${(lastSeenMs / 1000).toFixed(0)} s ago`}</td>
                <td class="mono">${ringName}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;
}
