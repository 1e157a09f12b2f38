import { html, nothing, type TemplateResult } from "lit-html";

import type { Actions } from "../actions.ts";
import type { State } from "../state.ts";
import { dialogs } from "./dialogs.ts";
import { fillsView } from "./fills-view.ts";
import { imagesView } from "./images-view.ts";
import { nodesView } from "./nodes-view.ts";
import { quotaView } from "./quota-view.ts";
import { ringView } from "./ring-view.ts";
import { trafficView } from "./traffic-view.ts";

export function pageView(state: State, actions: Actions): TemplateResult {
  const { isLive, ring, notice } = state;
  return html`<a class="skip" href="#main">To the content</a>
    <header>
      <h1><img src="/page/icon.svg" alt="" width="28" height="28" /> Pullring</h1>
      <p>
        <span class="state ${isLive ? "active" : "benched"}" role="status">${isLive ? "live" : "no answer"}</span>
        ${ring ? html`<span class="faint">${ring.nodes.length} ${ring.nodes.length === 1 ? "node" : "nodes"}, asked: ${ring.self}</span>` : nothing}
      </p>
    </header>
    <div class="notices" role="status" aria-live="polite">
      ${
        notice
          ? html`<p class="notice ${notice.kind}">
              ${notice.text} <button type="button" class="plain" @click=${actions.dismiss}>Close</button>
            </p>`
          : nothing
      }
    </div>
    <main id="main" tabindex="-1">
      ${ringView(state, actions)} ${nodesView(state)} ${quotaView(state)} ${fillsView(state)} ${trafficView(state)}
      ${imagesView(state, actions)}
    </main>
    ${dialogs(state, actions)}`;
}
