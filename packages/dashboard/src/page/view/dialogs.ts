import { html, nothing, type TemplateResult } from "lit-html";
import type { Actions } from "../actions.ts";
import type { State } from "../state.ts";
import { fieldOf } from "./field-of.ts";

/** What stands over the page: the question for a token, and whether somebody means it. */
export function dialogs(state: State, actions: Actions): TemplateResult {
  return html`${state.locked === undefined ? nothing : lock(state.locked, actions)}
  ${state.purging === undefined ? nothing : confirmPurge(state.purging, actions)}`;
}

function lock(why: string, { unlock }: Actions): TemplateResult {
  const submit = (event: SubmitEvent): void => {
    unlock(fieldOf(event, "token"));
  };
  return html`<pull-dialog>
    <dialog aria-labelledby="lock-title">
      <form @submit=${submit}>
        <h2 id="lock-title">Admin token</h2>
        <p>${why}. It is sent in a header, and forgotten when this tab is closed.</p>
        <label for="token">Token</label>
        <input id="token" name="token" type="password" autocomplete="off" required />
        <div class="row end"><button>Unlock</button></div>
      </form>
    </dialog>
  </pull-dialog>`;
}

function confirmPurge(image: string, { purge, cancelPurge }: Actions): TemplateResult {
  return html`<pull-dialog @cancel=${cancelPurge}>
    <dialog aria-labelledby="purge-title">
      <h2 id="purge-title">Purge ${image}?</h2>
      <p>It goes from every node and from S3. The next pull fetches it again, which may count against your quota.</p>
      <div class="row end">
        <button type="button" class="plain" @click=${cancelPurge}>Keep it</button>
        <button type="button" class="danger" @click=${(): void => void purge()}>Purge</button>
      </div>
    </dialog>
  </pull-dialog>`;
}

/** Opens the dialog inside it as a modal one, which keeps the focus in it, as soon as it is drawn. */
export class DialogElement extends HTMLElement {
  connectedCallback(): void {
    queueMicrotask(() => {
      const dialog = this.querySelector("dialog");
      if (dialog && !dialog.open) dialog.showModal();
    });
  }
}
