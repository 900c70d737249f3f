/* Deleting a key, and taking it back. */

import { CallError, currentOf, explain } from "/admin-calls.js";
import { newId } from "/calls.js";
import { changes, t } from "/i18n.js";
import { byId, element } from "/page.js";

const KEPT_MOST = 5;
const TRIES_MOST = 10;

export class Deletions {
  #calls;
  #status;
  #onRestored;

  /** onRestored(key) after an undo. */
  constructor({ calls, status, onRestored }) {
    this.#calls = calls;
    this.#status = status;
    this.#onRestored = onRestored;
  }

  /** Delete `key`; exactly what it held is kept for an undo. */
  async remove(key, shownRev) {
    try {
      const held = await this.#removed(key, shownRev);
      this.#status.say("admin.delete.done", { key });
      this.#offerUndo(held);
    } catch (error) {
      const changed = error instanceof CallError && error.status === 412;
      this.#status.fail(() => (changed ? t("admin.delete.changed", { key }) : explain(error)));
    }
  }

  /** What was deleted. A key that is fed changes between reading and deleting, so it is tried a few times. */
  async #removed(key, shownRev) {
    let leastRev = shownRev;
    for (let tries = 1; ; tries += 1) {
      const held = await this.#calls.get(key, leastRev);
      try {
        await this.#calls.remove(key, held.rev);
        return held;
      } catch (error) {
        if (error.status !== 412 || tries === TRIES_MOST) throw error;
        leastRev = currentOf(error)?.rev;
      }
    }
  }

  #offerUndo(held) {
    const text = element("span", { dir: "auto" });
    const button = element("button", { type: "button" });
    const item = element("li", {}, text, button);
    const label = () => {
      text.textContent = t("admin.delete.gone", { key: held.key, value: held.value });
      button.textContent = t("admin.delete.undo");
      button.ariaLabel = `${button.textContent} ${held.key}`;
    };
    label();
    changes.addEventListener("change", label);
    const id = newId(); // pressed again after a lost answer, it creates once
    button.addEventListener("click", () => this.#undo(held, item, button, id));
    byId("undo").prepend(item);
    while (byId("undo").children.length > KEPT_MOST) byId("undo").lastChild.remove();
    button.focus();
  }

  async #undo(held, item, button, id) {
    const { key, value, category, expiresAt } = held;
    const ttl = expiresAt && (Date.parse(expiresAt) - Date.now()) / 1000;
    if (ttl <= 0) {
      item.remove();
      return this.#status.fail(() => t("admin.delete.expired", { key }));
    }
    button.disabled = true;
    try {
      // The body must stay the same under one Idempotency-Key, so the ttl is fixed when first asked for.
      held.ttl ??= ttl && Math.round(1000 * ttl) / 1000;
      await this.#calls.write({ key, value, category, ttl: held.ttl }, { "If-None-Match": "*" }, id);
    } catch (error) {
      button.disabled = false;
      if (!(error instanceof CallError) || error.status !== 412) return this.#status.fail(() => explain(error));
      item.remove();
      return this.#status.fail(() => t("admin.delete.faster", { key, value: currentOf(error)?.value ?? "" }));
    }
    item.remove();
    this.#status.say("admin.delete.undone", { key });
    this.#onRestored(key);
  }
}
