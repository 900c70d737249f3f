/* The elements of the rows in sight, used again for other rows when these leave it. */

const kindOf = (row) => (row.entry ? "entry" : "group");
const itemOf = (row) => row.entry ?? row.group;

/** Out of `views` one that shows `entry` already, else any. */
function takeFor(entry, views) {
  const at = views.findIndex((view) => view.entry === entry);
  return at < 0 ? views.pop() : views.splice(at, 1)[0];
}

export class RowViews {
  #body;
  #makers;
  #shown = new Map(); // index -> {row, view}
  #spare = { group: [], entry: [] };
  #marked;

  /** body: holds the elements; makers: {entry, group}: make a view {element, show(row), showAge(now)}. */
  constructor(body, makers) {
    this.#body = body;
    this.#makers = makers;
  }

  rows() {
    return [...this.#shown.values()].map(({ row }) => row);
  }

  view(index) {
    return this.#shown.get(index)?.view;
  }

  /** The row of which `node` is a part, or undefined. */
  rowOf(node) {
    const element = node.closest("[role=row]");
    return [...this.#shown.values()].find(({ view }) => view.element === element)?.row;
  }

  /** Have elements for exactly the rows `wanted` (rising indices). place(element, row, index); `anew`: write all again. */
  fill(rows, wanted, place, { anew, now }) {
    const needed = new Set(wanted);
    for (const [index, { row, view }] of this.#shown) {
      if (needed.has(index) && itemOf(rows[index]) === itemOf(row)) continue;
      this.#shown.delete(index);
      this.#spare[kindOf(row)].push(view);
    }
    for (const index of wanted) {
      const row = rows[index];
      const known = this.#shown.get(index);
      if (known && !anew) continue;
      const view = known?.view ?? takeFor(row.entry, this.#spare[kindOf(row)]) ?? this.#makers[kindOf(row)]();
      this.#shown.set(index, { row, view });
      view.show(row);
      view.showAge(now);
      place(view.element, row, index);
      if (!view.element.isConnected) this.#body.append(view.element);
    }
    for (const { element } of Object.values(this.#spare).flat()) element.remove();
  }

  /** Put the elements in the order of the rows, for those who hear them; too slow to do while rows fly past. */
  order() {
    let cursor = this.#body.firstChild;
    for (const index of [...this.#shown.keys()].sort((a, b) => a - b)) {
      const { element } = this.view(index);
      if (element === cursor) cursor = cursor.nextSibling;
      else this.#body.insertBefore(element, cursor);
    }
  }

  /** Write the rows of these entries again, where they are in sight. */
  refresh(entries, now) {
    if (!entries.size) return;
    for (const { row, view } of this.#shown.values()) {
      if (!entries.has(row.entry)) continue;
      view.show(row);
      view.showAge(now);
    }
  }

  showAges(now) {
    for (const { view } of this.#shown.values()) view.showAge(now);
  }

  /** Make `index` the one element of class active; returns it, if there is one. */
  mark(index) {
    const element = this.view(index)?.element;
    if (element !== this.#marked) {
      this.#marked?.classList.remove("active");
      element?.classList.add("active");
    }
    this.#marked = element;
    return element;
  }
}
