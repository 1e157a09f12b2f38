import { html, nothing, type TemplateResult } from "lit-html";

import type { Fill } from "../answers.ts";
import type { State } from "../state.ts";
import { bytesText, percent, shortDigest } from "../words.ts";

export function fillsView({ fills }: State): TemplateResult {
  return html`<section class="card" aria-labelledby="fills-title" aria-busy=${fills ? "false" : "true"}>
    <h2 id="fills-title">Fills</h2>
    ${fills?.length === 0 ? html`<p class="faint">Nothing is being fetched.</p>` : nothing}
    <ul class="fills">
      ${(fills ?? []).map(fillView)}
    </ul>
  </section>`;
}

function fillView({ node, digest, repository, bytes, total, source, readers, rate }: Fill): TemplateResult {
  const part = total === null || total === 0 ? undefined : bytes / total;
  const label = `${repository} ${shortDigest(digest)} on ${node}`;
  return html`<li>
    <div class="lane-head">
      <span><strong>${repository}</strong> <span class="mono">${shortDigest(digest)}</span></span>
      <span class="figure">${part === undefined ? nothing : percent(part)}</span>
    </div>
    ${
      part === undefined
        ? html`<progress aria-label=${label}></progress>`
        : html`<progress max="1" .value=${part} aria-label=${label}></progress>`
    }
    <p class="faint">
      ${bytesText(bytes)}${total === null ? "" : ` of ${bytesText(total)}`} · ${bytesText(rate)}/s · from ${source} ·
      ${readers} ${readers === 1 ? "reader" : "readers"} · on ${node}
    </p>
  </li>`;
}
