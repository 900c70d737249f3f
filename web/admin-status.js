/* A line that says what happened, in the language of the moment. */

import { explain } from "/admin-calls.js";
import { changes, t } from "/i18n.js";

export class Status {
  #node;
  #text = () => "";

  constructor(node) {
    this.#node = node;
    changes.addEventListener("change", () => (node.textContent = this.#text()));
  }

  say(name, params = {}) {
    this.#show(() => t(name, params), false);
  }

  /** what: an Error, or a function that gives the text. */
  fail(what) {
    this.#show(typeof what === "function" ? what : () => explain(what), true);
  }

  clear() {
    this.#show(() => "", false);
  }

  #show(text, isError) {
    this.#text = text;
    this.#node.textContent = text();
    this.#node.dataset.error = String(isError);
  }
}
