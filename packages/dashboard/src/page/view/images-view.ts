import { html, nothing, type TemplateResult } from "lit-html";

import { nameOf, type Actions } from "../actions.ts";
import type { Image } from "../answers.ts";
import type { State } from "../state.ts";
import { fieldOf } from "./field-of.ts";
import { bytesText, fromNow, shortDigest, timeOf } from "../words.ts";

/** Rows that are drawn; a filter finds the others. */
const rowsMax = 200;

interface Row {
  readonly image: Image;
  readonly nodes: readonly string[];
}

export function imagesView(state: State, actions: Actions): TemplateResult {
  const rows = rowsOf(state);
  const typed = (event: Event): void => actions.filter((event.currentTarget as HTMLInputElement).value);
  return html`<section class="card images" aria-labelledby="images-title" aria-busy=${state.images ? "false" : "true"}>
    <div class="lane-head">
      <h2 id="images-title">Images</h2>
      <input type="search" placeholder="filter" aria-label="filter images" .value=${state.filter} @input=${typed} />
    </div>
    ${warmForm(state, actions)}
    <div class="scroll" tabindex="0" role="region" aria-labelledby="images-title">
      <table>
        <thead>
          <tr>
            <th scope="col">image</th>
            <th scope="col">digest</th>
            <th scope="col">checked</th>
            <th scope="col" class="figure">size</th>
            <th scope="col">on</th>
            <th scope="col"><span class="hidden">what to do</span></th>
          </tr>
        </thead>
        <tbody>
          ${rows.slice(0, rowsMax).map((row) => rowView(row, state, actions))}
        </tbody>
      </table>
    </div>
    ${rows.length === 0 ? html`<p class="faint">${state.images ? "Nothing is cached that fits." : ""}</p>` : nothing}
    ${rows.length > rowsMax ? html`<p class="faint">${rows.length - rowsMax} more: filter to find them.</p>` : nothing}
  </section>`;
}

/** One row for each image that nodes have the same digest of. */
function rowsOf({ images = [], filter }: State): readonly Row[] {
  const rows = new Map<string, Row>();
  for (const image of images) {
    const key = `${nameOf(image)}@${image.digest}`;
    if (!key.includes(filter.trim())) continue;
    const before = rows.get(key);
    const told = before && before.image.bytes !== null ? before.image : image;
    rows.set(key, { image: told, nodes: [...(before?.nodes ?? []), image.node] });
  }
  return [...rows.values()];
}

function rowView({ image, nodes }: Row, { now }: State, actions: Actions): TemplateResult {
  const name = nameOf(image);
  return html`<tr>
    <th scope="row">${name}</th>
    <td class="mono" title=${image.digest}>${shortDigest(image.digest)}</td>
    <td>${fromNow(timeOf(image.checkedAt), now)}</td>
    <td class="figure">${image.bytes === null ? "–" : bytesText(image.bytes)}</td>
    <td>${nodes.join(", ")}</td>
    <td class="row">
      <button type="button" class="plain" aria-label="Warm ${name}" @click=${(): void => void actions.warm(name)}>
        Warm
      </button>
      <button type="button" class="plain bad" aria-label="Purge ${name}" @click=${(): void => actions.askPurge(name)}>
        Purge
      </button>
    </td>
  </tr>`;
}

function warmForm({ warming }: State, { warm }: Actions): TemplateResult {
  const submit = (event: SubmitEvent): void => {
    const image = fieldOf(event, "image");
    if (image !== "") void warm(image);
  };
  return html`<form class="row" @submit=${submit}>
    <input
      name="image"
      aria-label="an image to fetch before it is asked for"
      placeholder="docker.io/library/alpine:3"
      autocomplete="off"
      spellcheck="false"
    />
    <button ?disabled=${warming?.isOver === false}>Warm</button>
    <span role="status" class="faint">${warming ? `${warming.image}: ${warming.line}` : nothing}</span>
  </form>`;
}
