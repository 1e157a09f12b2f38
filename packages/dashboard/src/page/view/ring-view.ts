import { html, nothing, svg, type TemplateResult } from "lit-html";

import type { Actions } from "../actions.ts";
import type { Ring, RingNode } from "../answers.ts";
import type { State } from "../state.ts";
import { percent } from "../words.ts";
import { fieldOf } from "./field-of.ts";

const radius = 80;
const around = 2 * Math.PI * radius;
/** Classes of the style sheet, each a colour and told apart by its place too. */
const colours = 8;

export const colourOf = (ring: Ring, id: string): string =>
  `colour-${
    Math.max(
      0,
      ring.nodes.findIndex((node) => node.id === id),
    ) % colours
  }`;

/** Who owns which share, where a key lands, and what a change would move. */
export function ringView(state: State, actions: Actions): TemplateResult {
  const { ring } = state;
  if (!ring) return html`<section class="card" aria-busy="true"><h2>Ring</h2></section>`;
  return html`<section class="card ring" aria-labelledby="ring-title">
    <h2 id="ring-title">Ring</h2>
    <div class="ring-body">
      ${drawing(ring, state)}
      <div class="ring-side">${ownerForm(state, actions)} ${previewForm(ring, state, actions)}</div>
    </div>
    <p class="faint">epoch ${ring.epoch}, ${ring.algorithm}, ${ring.points} points, as ${ring.self} sees it</p>
  </section>`;
}

function drawing(ring: Ring, { owner }: State): TemplateResult {
  const found = typeof owner === "object" ? owner.owner : undefined;
  const members = ring.nodes.filter(({ share }) => share > 0);
  let from = 0;
  const arcs = members.map((node) => {
    const arc = arcOf(node, { from, colour: colourOf(ring, node.id), isFound: node.id === found });
    from += node.share;
    return arc;
  });
  const told = members.map(({ id, share }) => `${id} ${percent(share)}`).join(", ");
  return html`<svg class="donut" viewBox="0 0 200 200" role="img" aria-label="Shares of the ring: ${told}">
    ${arcs}
    <text x="100" y="98" class="donut-figure">${members.length}</text>
    <text x="100" y="118" class="donut-word">${members.length === 1 ? "node" : "nodes"}</text>
  </svg>`;
}

interface Arc {
  /** Where it begins, 0 to 1 from the top. */
  readonly from: number;
  readonly colour: string;
  readonly isFound: boolean;
}

function arcOf({ id, share, benched, state }: RingNode, { from, colour, isFound }: Arc): TemplateResult {
  const gap = share < 1 ? 1.5 : 0;
  const classes = ["arc", colour, isFound ? "found" : "", benched || state !== "active" ? "dim" : ""].join(" ");
  const middle = (from + share / 2) * 2 * Math.PI;
  const [x, y] = [100 + radius * Math.sin(middle), 100 - radius * Math.cos(middle)];
  return svg`<g>
    <circle class=${classes} cx="100" cy="100" r=${radius} transform=${`rotate(${from * 360 - 90} 100 100)`}
      stroke-dasharray=${`${Math.max(0.5, share * around - gap)} ${around}`}><title>${id}: ${percent(share)}</title></circle>
    ${share > 0.06 ? svg`<text class="arc-name" x=${x} y=${y + 4}>${id.length > 6 ? `${id.slice(0, 5)}…` : id}</text>` : nothing}
  </g>`;
}

function ownerForm({ owner }: State, { findOwner }: Actions): TemplateResult {
  const submit = (event: SubmitEvent): void => {
    const key = fieldOf(event, "key");
    if (key !== "") void findOwner(key);
  };
  return html`<form @submit=${submit}>
    <label for="owner-key">Where does it land?</label>
    <div class="row">
      <input
        id="owner-key"
        name="key"
        placeholder="docker.io/library/alpine:3 or sha256:…"
        autocomplete="off"
        spellcheck="false"
      />
      <button>Find</button>
    </div>
    <p role="status" class=${typeof owner === "string" ? "bad" : ""}>
      ${typeof owner === "string" ? owner : nothing}
      ${typeof owner === "object" ? html`<strong>${owner.owner}</strong>${owner.next.length > 0 ? html`, then ${owner.next.join(", ")}` : nothing}` : nothing}
    </p>
  </form>`;
}

function previewForm(ring: Ring, { preview }: State, actions: Actions): TemplateResult {
  const submit = (event: SubmitEvent): void => {
    const id = fieldOf(event, "id");
    if (id !== "") void actions.previewAdd(id, Number(fieldOf(event, "weight")) || 1);
  };
  const remove = (event: Event): void => {
    const select = event.currentTarget as HTMLSelectElement;
    if (select.value !== "") void actions.previewRemove(select.value);
    select.value = "";
  };
  return html`<form @submit=${submit}>
      <label for="preview-id">What would a node move?</label>
      <div class="row">
        <input id="preview-id" name="id" placeholder="a new node's id" autocomplete="off" spellcheck="false" />
        <input name="weight" type="number" min="1" max="100" value="1" aria-label="its weight" class="narrow" />
        <button>Preview</button>
      </div>
      <div class="row">
        <select @change=${remove} aria-label="a node to take away">
          <option value="">without a node…</option>
          ${ring.nodes.map(({ id }) => html`<option value=${id}>${id}</option>`)}
        </select>
      </div>
    </form>
    <div role="status">${previewOf(preview, actions)}</div>`;
}

function previewOf(preview: State["preview"], { endPreview }: Actions): TemplateResult | typeof nothing {
  if (preview === undefined) return nothing;
  if (typeof preview === "string") return html`<p class="bad">${preview}</p>`;
  return html`<div class="preview">
    <p><strong>${percent(preview.moved)}</strong> of all keys move ${preview.change}. Nothing is changed.</p>
    <table>
      <thead>
        <tr>
          <th scope="col">node</th>
          <th scope="col" class="figure">now</th>
          <th scope="col" class="figure">then</th>
        </tr>
      </thead>
      <tbody>
        ${preview.nodes.map(
          ({ id, before, after }) =>
            html`<tr>
              <th scope="row">${id}</th>
              <td class="figure">${percent(before)}</td>
              <td class="figure">${percent(after)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
    <button type="button" class="plain" @click=${endPreview}>Close</button>
  </div>`;
}
