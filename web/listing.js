/* A live table of keys, grouped by category, with find as you type. Draws once a frame, whatever arrives. */

import { element, viewerLink } from "/page.js";

const SHOWN_MOST = 200; // characters of a value; the viewer shows the rest

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });

export class Listing {
  /** container: gets one section a category; actionsOf(key): elements for a row's end, none by default. */
  constructor(container, actionsOf = () => []) {
    this.#container = container;
    this.#actionsOf = actionsOf;
  }

  #container;
  #actionsOf;
  #wanted = "";
  #entries = new Map(); // key -> {change, row, cells}
  #sections = new Map(); // category -> {section, body, keys}
  #dirty = new Set();
  #scheduled = false;

  get size() {
    return this.#entries.size;
  }

  /** The newest change of `key` that was put, or undefined. */
  get(key) {
    return this.#entries.get(key)?.change;
  }

  put(change) {
    const entry = this.#entries.get(change.key);
    if (entry && entry.change.category !== change.category) this.remove(change.key);
    if (this.#entries.has(change.key)) this.#entries.get(change.key).change = change;
    else this.#insert(change);
    this.#dirty.add(change.key);
    if (!this.#scheduled) requestAnimationFrame(() => this.#draw());
    this.#scheduled = true;
  }

  remove(key) {
    const entry = this.#entries.get(key);
    if (!entry) return;
    entry.row.remove();
    this.#entries.delete(key);
    const group = this.#sections.get(entry.change.category);
    group.keys.delete(key);
    if (!group.keys.size) {
      group.section.remove();
      this.#sections.delete(entry.change.category);
    }
  }

  /** Show only the keys and values that hold `text`, in any case. Returns how many are shown. */
  find(text) {
    this.#wanted = text.trim().toLowerCase();
    let count = 0;
    for (const entry of this.#entries.values()) count += this.#filter(entry) ? 1 : 0;
    for (const group of this.#sections.values()) this.#hideWhenEmpty(group);
    return count;
  }

  #filter({ change, row }) {
    const found = `${change.key}\n${change.value}`.toLowerCase().includes(this.#wanted);
    row.hidden = !found;
    return found;
  }

  #insert(change) {
    const value = element("td", { className: "number", dir: "auto" });
    const cells = { value, time: element("td", { className: "time" }) };
    const link = element("a", { href: viewerLink(change.key), textContent: change.key, dir: "auto" });
    const row = element("tr", {}, element("th", { scope: "row" }, link), cells.value, cells.time);
    const actions = this.#actionsOf(change.key);
    if (actions.length) row.append(element("td", { className: "actions" }, ...actions));
    this.#entries.set(change.key, { change, row, cells });
    const group = this.#sections.get(change.category) ?? this.#addSection(change.category);
    group.keys.add(change.key);
    group.unsorted = true;
  }

  #addSection(category) {
    const body = element("tbody");
    const table = element("table", {}, element("caption", { textContent: category, dir: "auto" }), body);
    const group = { section: element("section", {}, table), body, keys: new Set(), unsorted: true };
    this.#sections.set(category, group);
    const sorted = [...this.#sections].sort(([a], [b]) => (a < b ? -1 : 1));
    this.#container.append(...sorted.map(([, { section }]) => section));
    return group;
  }

  #draw() {
    this.#scheduled = false;
    for (const key of this.#dirty) {
      const entry = this.#entries.get(key);
      if (!entry) continue;
      const { value, updatedAt } = entry.change;
      entry.cells.value.textContent = value.length > SHOWN_MOST ? `${value.slice(0, SHOWN_MOST)}…` : value;
      entry.cells.time.textContent = clock.format(new Date(updatedAt));
      this.#filter(entry);
    }
    this.#dirty.clear();
    for (const group of this.#sections.values()) {
      if (group.unsorted) group.body.append(...[...group.keys].sort().map((key) => this.#entries.get(key).row));
      if (group.unsorted || this.#wanted) this.#hideWhenEmpty(group);
      group.unsorted = false;
    }
  }

  #hideWhenEmpty({ section, keys }) {
    section.hidden = ![...keys].some((key) => !this.#entries.get(key).row.hidden);
  }
}

/** Keep `listing` equal to the store through `connection`; onChange(change) after each event. */
export function follow(connection, listing, onChange) {
  connection.watch([], { prefixes: [""], maxRate: 4 }, (change) => {
    if (change.op === "snap" || change.op === "upd") listing.put(change);
    if (change.op === "del" || change.op === "absent") listing.remove(change.key);
    onChange(change);
  });
}
