/* The form that adds a key, or edits one: it saves only over the rev that it began with. */

import { CallError, currentOf, explain } from "/admin-calls.js";
import { newId } from "/calls.js";
import { changes, t } from "/i18n.js";
import { byId } from "/page.js";

export class Editor {
  #calls;
  #status;
  #onSaved;
  #rev = null; // of the key in the form; null while adding
  #sent = null; // {request, id} of a save whose outcome is not known
  #theirs = null; // what a conflict showed

  /** onSaved(key) after a save. */
  constructor({ calls, status, onSaved }) {
    this.#calls = calls;
    this.#status = status;
    this.#onSaved = onSaved;
    byId("edit").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    byId("clear").addEventListener("click", () => this.clear());
    byId("mine").addEventListener("click", () => this.#keepMine());
    byId("theirs").addEventListener("click", () => this.#takeTheirs());
    byId("keep-editing").addEventListener("click", () => this.#closeConflict());
    changes.addEventListener("change", () => this.#label());
    this.clear();
  }

  clear() {
    byId("edit").reset();
    this.#begin(null);
    this.#status.clear();
  }

  /** Begin from what the server has now, which is no older than `shownRev`. */
  async edit(key, shownRev) {
    try {
      this.#fill(await this.#calls.get(key, shownRev));
    } catch (error) {
      return this.#status.fail(error);
    }
    this.#status.clear();
    byId("edit").scrollIntoView({ block: "nearest" });
    byId("value").focus();
  }

  #fill({ key, value, category, rev, expiresAt }) {
    byId("key").value = key;
    byId("value").value = value;
    byId("category").value = category ?? "";
    byId("ttl").value = expiresAt ? Math.max(1, Math.round((Date.parse(expiresAt) - Date.now()) / 1000)) : "";
    this.#begin(rev);
  }

  #begin(rev) {
    this.#rev = rev;
    this.#sent = null;
    byId("key").readOnly = rev !== null;
    this.#closeConflict();
    this.#label();
  }

  #label() {
    byId("edit-title").textContent = this.#rev === null ? t("admin.edit.add") : t("admin.edit.change", { rev: this.#rev });
    if (this.#theirs) this.#showConflict();
  }

  /** What the form holds; the value is the text itself, so that 2345.60 stays 2345.60. Throws an Error for people. */
  #written() {
    const value = byId("value").value.trim();
    try {
      JSON.parse(value);
    } catch {
      throw new Error(t("admin.edit.not-json"));
    }
    const ttl = byId("ttl").value;
    return { key: byId("key").value.trim(), value, category: byId("category").value.trim(), ttl: ttl && Number(ttl) };
  }

  async #save() {
    const condition = this.#rev === null ? { "If-None-Match": "*" } : { "If-Match": `"${this.#rev}"` };
    byId("save").disabled = true;
    try {
      const written = this.#written();
      const request = JSON.stringify([written, condition]);
      if (this.#sent?.request !== request) this.#sent = { request, id: newId() };
      const { rev } = await this.#calls.write(written, condition, this.#sent.id);
      this.clear();
      this.#status.say("admin.edit.saved", { key: written.key, rev });
      this.#onSaved(written.key);
    } catch (error) {
      if (!error.unknown) this.#sent = null;
      if (error instanceof CallError && error.status === 412) this.#conflict(error);
      else this.#status.fail(() => explain(error));
    } finally {
      byId("save").disabled = false;
    }
  }

  #conflict(error) {
    this.#theirs = { current: currentOf(error), mine: byId("value").value.trim(), adding: this.#rev === null };
    this.#status.clear();
    this.#showConflict();
    byId("conflict").hidden = false;
    byId("conflict").focus();
  }

  #showConflict() {
    const { current, mine, adding } = this.#theirs;
    const what = current === null ? "deleted" : adding ? "exists" : "changed";
    byId("conflict-text").textContent = t(`admin.conflict.${what}`);
    byId("mine-value").textContent = mine;
    byId("theirs-value").textContent = current === null ? t("admin.keys.gone") : current.value;
    byId("theirs-title").textContent = current === null ? t("admin.conflict.theirs-none") : t("admin.conflict.theirs", current);
    byId("mine").textContent = t(current === null ? "admin.conflict.create" : "admin.conflict.keep-mine");
    byId("theirs").textContent = t(current === null ? "admin.conflict.drop-mine" : "admin.conflict.take-theirs");
  }

  #closeConflict() {
    this.#theirs = null;
    byId("conflict").hidden = true;
  }

  /** Save over what the conflict showed, and over nothing newer. */
  #keepMine() {
    const { current } = this.#theirs;
    this.#begin(current?.rev ?? null);
    this.#save();
  }

  #takeTheirs() {
    const { current } = this.#theirs;
    if (current === null) return this.clear();
    this.edit(byId("key").value.trim(), current.rev);
  }
}
