/* The list of keys: found by prefix and category, a page at a time, each shown key live. */

import { explain } from "/admin-calls.js";
import { changes, t } from "/i18n.js";
import { byId, element, viewerLink } from "/page.js";
import { isNewer } from "/frames.js";

const PAGE_KEYS = 50;
const SHOWN_MOST = 120; // characters of a value; the viewer shows the rest
const TYPING_MS = 200;

export class Keys {
  #calls;
  #connection;
  #actions;
  #onUpdate;
  #status;
  #rows = new Map(); // key -> {entry, row, cells}
  #cursor = null;
  #stopWatching = () => {};
  #failed = false;
  #asked = 0; // so that a late answer to an earlier search is dropped

  /** actions: [{name, run(key, button)}] of a row; onUpdate(event) of each live change that is shown. */
  constructor({ calls, connection, actions, status, onUpdate }) {
    this.#calls = calls;
    this.#connection = connection;
    this.#actions = actions;
    this.#status = status;
    this.#onUpdate = onUpdate;
    let timer;
    byId("find").addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.load(), TYPING_MS);
    });
    byId("find").addEventListener("submit", (event) => {
      event.preventDefault();
      this.load();
    });
    byId("more").addEventListener("click", () => this.#append());
    changes.addEventListener("change", () => this.#label());
  }

  /** What the search names, as /keys takes it. */
  filter() {
    return { prefix: byId("find-prefix").value.trim(), category: byId("find-category").value.trim() };
  }

  /** The newest rev of `key` that was shown. */
  revOf(key) {
    return this.#rows.get(key)?.entry.rev;
  }

  /** The first page anew. */
  async load() {
    this.#cursor = null;
    await this.#append(true);
  }

  async #append(anew = false) {
    const asked = (this.#asked += 1);
    let page;
    try {
      page = await this.#calls.page({ ...this.filter(), limit: PAGE_KEYS, cursor: this.#cursor });
    } catch (error) {
      this.#failed = true;
      if (asked === this.#asked) this.#status.fail(() => t("admin.keys.failed", { reason: explain(error) }));
      return;
    }
    if (asked !== this.#asked) return;
    if (this.#failed) this.#status.clear(); // and not what a deletion said
    this.#failed = false;
    if (anew) {
      this.#rows.clear();
      byId("rows").replaceChildren();
    }
    for (const entry of page.entries) this.#add(entry);
    this.#cursor = page.next;
    this.#label();
    this.#watch();
  }

  #add(entry) {
    if (this.#rows.has(entry.key)) return this.#put(entry);
    const cells = { value: element("td", { className: "number mono", dir: "auto" }), category: element("td", { dir: "auto" }) };
    const link = element("a", { href: viewerLink(entry.key), textContent: entry.key, title: entry.key, dir: "auto" });
    const buttons = this.#actions.map(({ name, run }) => {
      const button = element("button", { type: "button" });
      button.dataset.action = name;
      button.addEventListener("click", () => run(entry.key, button));
      return button;
    });
    const actions = element("td", { className: "actions" }, ...buttons);
    const row = element("tr", {}, element("th", { scope: "row" }, link), cells.value, cells.category, actions);
    this.#rows.set(entry.key, { entry: { rev: "0" }, row, cells, buttons });
    byId("rows").append(row);
    this.#put(entry);
  }

  #put(entry) {
    const held = this.#rows.get(entry.key);
    if (!held || !isNewer(entry.rev, held.entry.rev)) return;
    held.entry = entry;
    held.row.dataset.gone = String(entry.value === null);
    const { value } = entry;
    held.cells.value.title = value === null ? "" : value.slice(0, SHOWN_MOST);
    held.cells.value.textContent = value === null ? t("admin.keys.gone") : value.length > SHOWN_MOST ? `${value.slice(0, SHOWN_MOST)}…` : value;
    if (entry.category !== undefined) held.cells.category.textContent = entry.category;
    for (const button of held.buttons) button.disabled = value === null;
  }

  #label() {
    for (const [key, { buttons, entry }] of this.#rows) {
      for (const button of buttons) {
        button.textContent = t(`admin.keys.${button.dataset.action}`);
        button.ariaLabel = `${button.textContent} ${key}`;
      }
      if (entry.value === null) this.#rows.get(key).cells.value.textContent = t("admin.keys.gone");
    }
    byId("more").hidden = this.#cursor === null;
    byId("count").textContent = this.#rows.size
      ? t(this.#cursor === null ? "admin.keys.all" : "admin.keys.some", { count: this.#rows.size })
      : t(Object.values(this.filter()).some(Boolean) ? "admin.keys.none-found" : "admin.keys.none");
  }

  #watch() {
    this.#stopWatching();
    const keys = [...this.#rows.keys()];
    if (!keys.length) return;
    this.#stopWatching = this.#connection.watch(keys, {}, (event) => {
      if (event.op === "snap" || event.op === "upd") this.#put(event);
      if (event.op === "del") this.#put({ ...event, value: null });
      if (event.op === "upd") this.#onUpdate(event);
    });
  }
}
