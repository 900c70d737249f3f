/*
 * A grid of which only the rows in sight, and the active one, exist as elements. Rows have one height (--row-height) and
 * stand in lanes side by side, each at least --lane-least wide. Everything is drawn once an animation frame, whatever
 * arrives; what is out of sight costs nothing.
 */

import { RowViews } from "/row-views.js";

const SPARE_LINES = 5; // drawn above and below what is in sight
const STRIDE_LINES = 4; // scrolling changes the rows in strides: one costs little more than a single line
const REST_MS = 150; // without scrolling
const HEADING_LINES = 1; // inside the scroller, above the body
const itemOf = (row) => row?.entry ?? row?.group ?? null;

export class VirtualGrid {
  #scroller;
  #body;
  #views;
  #layoutOf;
  #onDraw;
  #onRest;
  #now;
  #layout = { rows: [], lines: [] };
  #lanes = 1;
  #laneWidth = 0;
  #height = 1;
  #changed = new Set(); // entries
  #frame = 0;
  #stale = { layout: false, rows: false };
  #active = null; // an entry or a group
  #rest;

  /**
   * scroller: has role treegrid, scrolls, has the focus; body: inside it; makers: see RowViews;
   * layoutOf(lanes): {rows: [{entry or group, line, lane}], lines: [index of a line's first row]};
   * onDraw(layout, lanes): after each drawing; onRest(): other rows are in sight, and stand still;
   * now(): milliseconds that ages are counted from.
   */
  constructor(scroller, body, { makers, layoutOf, onDraw, onRest, now }) {
    this.#scroller = scroller;
    this.#body = body;
    this.#views = new RowViews(body, makers);
    this.#layoutOf = layoutOf;
    this.#onDraw = onDraw;
    this.#onRest = onRest;
    this.#now = now;
    scroller.addEventListener("scroll", this.#onScroll, { passive: true });
    new ResizeObserver(() => this.relayout()).observe(scroller);
  }

  get layout() {
    return this.#layout;
  }

  /** The index of the active row, -1 for none. */
  get activeIndex() {
    return this.#active ? this.#layout.rows.findIndex((row) => itemOf(row) === this.#active) : -1;
  }

  get linesInSight() {
    return Math.max(1, Math.floor(this.#scroller.clientHeight / this.#height) - HEADING_LINES);
  }

  /** The rows that have an element. */
  get drawn() {
    return this.#views.rows();
  }

  rowOf(node) {
    return this.#views.rowOf(node);
  }

  /** Rows came, went or moved. */
  relayout() {
    this.#stale.layout = true;
    this.#schedule();
  }

  /** Every row is to be written again. */
  rewrite() {
    this.#stale.rows = true;
    this.#schedule();
  }

  touch(entry) {
    this.#changed.add(entry);
    this.#schedule();
  }

  showAges() {
    this.#views.showAges(this.#now());
  }

  /** Make row `index` the active one, in sight; -1: none. */
  activate(index) {
    const row = this.#layout.rows[index];
    this.#active = itemOf(row);
    if (row) this.#reveal(row.line);
    this.#schedule();
  }

  #reveal(line) {
    const top = line * this.#height;
    const room = this.#scroller.clientHeight - HEADING_LINES * this.#height;
    const { scrollTop } = this.#scroller;
    if (top < scrollTop) this.#scroller.scrollTop = top;
    else if (top + this.#height > scrollTop + room) this.#scroller.scrollTop = top + this.#height - room;
  }

  #onScroll = () => {
    this.#schedule();
    this.#awaitRest();
  };

  #awaitRest() {
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => {
      this.#views.order();
      this.#onRest();
    }, REST_MS);
  }

  #schedule() {
    this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const { layout, rows } = this.#stale;
    this.#stale = { layout: false, rows: false };
    if (layout) this.#arrange();
    const now = this.#now();
    const active = this.activeIndex;
    this.#views.fill(this.#layout.rows, this.#wanted(active), this.#place, { anew: layout || rows, now });
    this.#views.refresh(this.#changed, now);
    this.#changed.clear();
    this.#mark(active);
    this.#onDraw(this.#layout, this.#lanes);
  }

  /** Ask for the layout again; what stood at the top of the sight stays there. */
  #arrange() {
    const style = getComputedStyle(this.#scroller);
    const width = this.#body.clientWidth;
    const anchor = this.#anchor();
    this.#height = parseFloat(style.getPropertyValue("--row-height"));
    this.#lanes = Math.max(1, Math.floor(width / parseFloat(style.getPropertyValue("--lane-least"))));
    this.#laneWidth = Math.floor(width / this.#lanes);
    this.#layout = this.#layoutOf(this.#lanes);
    this.#scroller.style.setProperty("--lane-width", `${this.#laneWidth}px`);
    this.#scroller.ariaRowCount = this.#layout.rows.length + HEADING_LINES;
    this.#body.style.height = `${this.#layout.lines.length * this.#height}px`;
    if (anchor) this.#keep(anchor);
    this.#awaitRest();
  }

  #anchor() {
    const { scrollTop } = this.#scroller;
    const line = Math.floor(scrollTop / this.#height);
    const item = itemOf(this.#layout.rows[this.#layout.lines[line]]);
    return scrollTop && item ? { item, offset: scrollTop / this.#height - line } : null;
  }

  #keep({ item, offset }) {
    const row = this.#layout.rows.find((candidate) => itemOf(candidate) === item);
    const top = row && Math.round((row.line + offset) * this.#height);
    if (row && Math.abs(top - this.#scroller.scrollTop) >= 1) this.#scroller.scrollTop = top;
  }

  /** The indices that need an element, rising. */
  #wanted(active) {
    const { rows, lines } = this.#layout;
    const top = STRIDE_LINES * Math.floor(this.#scroller.scrollTop / this.#height / STRIDE_LINES);
    const first = lines[Math.max(0, top - SPARE_LINES)] ?? rows.length;
    const end = lines[top + this.linesInSight + STRIDE_LINES + SPARE_LINES] ?? rows.length;
    const wanted = Array.from({ length: end - first }, (_, i) => first + i);
    if (active >= 0 && active < first) wanted.unshift(active);
    if (active >= end) wanted.push(active);
    return wanted;
  }

  #place = (element, { line, lane }, index) => {
    element.style.transform = `translate(${lane * this.#laneWidth}px, ${line * this.#height}px)`;
    element.ariaRowIndex = index + 1 + HEADING_LINES;
  };

  #mark(active) {
    const id = this.#views.mark(active)?.id;
    if (id) this.#scroller.setAttribute("aria-activedescendant", id);
    else this.#scroller.removeAttribute("aria-activedescendant");
  }
}
