import { render } from "lit-html";

import { makeActions } from "./actions.ts";
import { makeApi } from "./api.ts";
import { keepFresh } from "./keep-fresh.ts";
import { makeStore } from "./state.ts";
import { ChartElement } from "./view/chart.ts";
import { DialogElement } from "./view/dialogs.ts";
import { pageView } from "./view/page-view.ts";

customElements.define("pull-chart", ChartElement);
customElements.define("pull-dialog", DialogElement);

const root = document.querySelector<HTMLElement>("#app");
if (!root) throw new Error("the page has no place for what it draws");
const api = makeApi(sessionStorage);
const store = makeStore(
  (state) => render(pageView(state, actions), root),
  (run) => void requestAnimationFrame(run),
);
const now = (): number => performance.timeOrigin + performance.now();
const refresh = keepFresh({ api, store, now });
const actions = makeActions(api, store, refresh);
store.set({ now: now() });
