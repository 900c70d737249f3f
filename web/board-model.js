/* The keys in their categories: order, what is found, what is folded away, and where each row stands. No DOM. */

import { Entry } from "./board-entry.js";
import { fold, words } from "./fold.js";

const order = new Intl.Collator(undefined, { numeric: true });
const compare = (a, b) => order.compare(a, b) || (a < b ? -1 : Number(a > b));

class Group {
  constructor(name, collapsed) {
    this.name = name;
    this.folded = fold(name);
    this.collapsed = collapsed;
    this.entries = [];
    this.sorted = true;
    this.found = []; // of `entries`, in order
  }

  inOrder() {
    if (!this.sorted) this.entries.sort((a, b) => compare(a.key, b.key));
    this.sorted = true;
    return this.entries;
  }
}

export class BoardModel {
  #entries = new Map(); // key -> Entry, whose `group` holds it
  #groups = new Map(); // category -> Group
  #wanted = [];

  /** collapsed: names of the categories that begin folded away. */
  constructor(collapsed = []) {
    this.collapsed = new Set(collapsed);
  }

  get size() {
    return this.#entries.size;
  }

  get wanted() {
    return this.#wanted;
  }

  entries() {
    return this.#entries.values();
  }

  /** Take a change; returns {entry, moved: whether rows came or moved}. */
  put(change) {
    const entry = this.#entries.get(change.key);
    if (entry?.group.name === change.category) {
      entry.put(change);
      return { entry, moved: false };
    }
    if (entry) this.#leave(entry);
    const put = entry ?? new Entry(change);
    if (entry) entry.put(change);
    this.#entries.set(change.key, put);
    this.#join(put, change.category);
    return { entry: put, moved: true };
  }

  #join(entry, category) {
    const group = this.#groups.get(category) ?? new Group(category, this.collapsed.has(category));
    this.#groups.set(category, group);
    entry.group = group;
    group.entries.push(entry);
    group.sorted = false;
  }

  #leave({ key, group }) {
    group.entries.splice(group.entries.findIndex((entry) => entry.key === key), 1);
    if (!group.entries.length) this.#groups.delete(group.name);
  }

  /** Whether `key` was there. */
  remove(key) {
    const entry = this.#entries.get(key);
    if (!entry) return false;
    this.#leave(entry);
    return this.#entries.delete(key);
  }

  /** Show only keys where every typed word stands in the key or in its category. */
  find(typed) {
    this.#wanted = words(typed);
  }

  /** Fold a category away, or open it again. */
  toggle(group, collapsed = !group.collapsed) {
    group.collapsed = collapsed;
    if (collapsed) this.collapsed.add(group.name);
    else this.collapsed.delete(group.name);
  }

  toggleAll(collapsed) {
    for (const group of this.#groups.values()) this.toggle(group, collapsed);
  }

  #matches(entry) {
    return this.#wanted.every((word) => entry.folded.includes(word) || entry.group.folded.includes(word));
  }

  /**
   * The rows that are to be seen: {rows, lines, found}. A row is {group} or {entry}, with its line and lane;
   * lines[i] is the index of the first row of line i. While something is looked for, no category is folded away.
   */
  layout(lanes) {
    const rows = [];
    const lines = [];
    let found = 0;
    const groups = [...this.#groups.values()].sort((a, b) => compare(a.name, b.name));
    for (const group of groups) {
      group.found = this.#wanted.length ? group.inOrder().filter((entry) => this.#matches(entry)) : group.inOrder();
      if (!group.found.length) continue;
      found += group.found.length;
      lines.push(rows.length);
      rows.push({ group, line: lines.length - 1, lane: 0 });
      if (group.collapsed && !this.#wanted.length) continue;
      group.found.forEach((entry, i) => {
        if (i % lanes === 0) lines.push(rows.length);
        rows.push({ entry, group, line: lines.length - 1, lane: i % lanes });
      });
    }
    return { rows, lines, found };
  }
}
