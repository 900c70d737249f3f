/* The rows of the board as elements that are used again: filled for one key, later for another. */

import { briefAge } from "/board-text.js";
import { isNumber } from "/decimals.js";
import { ranges } from "/fold.js";
import { language, t } from "/i18n.js";
import { element, viewerLink, write } from "/page.js";
import { drawSparkline, sparkline } from "/sparkline.js";

const SHOWN_MOST = 200; // characters of a value; the viewer shows the rest
const WIDE_FROM = 12; // characters of a value that may not fit its cell
const MARKS = new Map([[1, "▲"], [-1, "▼"], [0, ""]]);

let made = 0;

/** Set data-`name`, which costs a look at the style sheet only when it changes. */
function mark(node, name, text) {
  if (node.dataset[name] !== text) node.dataset[name] = text;
}

/** `text` in `node`, with what was looked for marked. */
function writeMarked(node, text, wanted) {
  const parts = [];
  let at = 0;
  for (const [start, end] of wanted.length ? ranges(text, wanted) : []) {
    parts.push(text.slice(at, start), element("mark", { textContent: text.slice(start, end) }));
    at = end;
  }
  node.replaceChildren(...parts, text.slice(at));
}

function cell(role, className, ...children) {
  const span = element("span", { className }, ...children);
  span.setAttribute("role", role);
  return span;
}

function row(level, ...children) {
  const div = element("div", { className: "board-row", id: `board-row-${(made += 1)}` }, ...children);
  div.setAttribute("role", "row");
  div.ariaLevel = level;
  return div;
}

export class KeyRow {
  #link = element("a", { tabIndex: -1, dir: "auto" });
  #trend = sparkline();
  #last = cell("gridcell", "last");
  #mark = element("span", { className: "mark" });
  #amount = element("span", { className: "amount" });
  #share = element("span", { className: "share" });
  #age = cell("gridcell", "age");
  #named = ""; // the key in the row, and what was looked for
  #drawn = {}; // {entry, version} in the row

  #model;

  constructor(model) {
    this.#model = model;
    this.#last.dir = "auto";
    this.element = row(
      2, cell("rowheader", "key", this.#link), cell("gridcell", "trend", this.#trend), this.#last,
      cell("gridcell", "change", this.#mark, this.#amount, this.#share), this.#age,
    );
  }

  show({ entry }) {
    this.entry = entry;
    this.#name(entry.key);
    if (this.#drawn.entry === entry && this.#drawn.version === entry.version) return;
    this.#drawn = { entry, version: entry.version };
    this.#draw(entry);
  }

  #name(key) {
    const { wanted } = this.#model;
    const name = `${key}\n${wanted.join(" ")}`;
    if (this.#named === name) return;
    this.#named = name;
    this.#link.href = viewerLink(key);
    this.#link.title = key;
    writeMarked(this.#link, key, wanted);
  }

  #draw(entry) {
    const { value } = entry.change;
    write(this.#last, value.length > SHOWN_MOST ? `${value.slice(0, SHOWN_MOST)}…` : value);
    mark(this.element, "kind", isNumber(value) ? "number" : "text");
    this.#last.title = value.length > WIDE_FROM ? value.slice(0, SHOWN_MOST) : "";
    const { sign, text, share } = entry.movement;
    mark(this.element, "sign", String(sign));
    write(this.#mark, MARKS.get(sign));
    write(this.#amount, text);
    write(this.#share, share);
    drawSparkline(this.#trend, entry.numbers);
  }

  /** now: the server's clock in milliseconds. */
  showAge(now) {
    const age = now - this.entry.updatedAt;
    write(this.#age, briefAge(age));
    this.element.classList.toggle("fresh", age < 1500);
  }
}

export class GroupRow {
  #name = element("bdi", { className: "name" });
  #count = element("span", { className: "count" });

  #model;

  constructor(model) {
    this.#model = model;
    const box = cell("gridcell", "group", element("span", { className: "twist" }), this.#name, this.#count);
    box.ariaColSpan = 5;
    this.element = row(1, box);
    this.element.classList.add("board-group");
  }

  show({ group }) {
    const { wanted } = this.#model;
    writeMarked(this.#name, group.name, wanted);
    write(this.#count, t("board.keys", { n: group.found.length, count: group.found.length.toLocaleString(language()) }));
    this.element.ariaExpanded = String(!group.collapsed || wanted.length > 0);
  }

  showAge() {}
}
