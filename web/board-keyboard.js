/* The board by keyboard: arrows go along lines and lanes, Enter opens a key, Left and Right fold a category. */

/** The row in `lane` of `line`, or the line's last one. */
function indexAt({ rows, lines }, line, lane) {
  const end = lines[line + 1] ?? rows.length;
  return Math.min(lines[line] + lane, end - 1);
}

/** The index that `key` leads to from `index`, or undefined when it leads nowhere. Pure. */
export function step(layout, index, key, linesInSight) {
  const { rows, lines } = layout;
  const row = rows[Math.max(0, index)];
  if (!row) return undefined;
  if (key === "Home") return 0;
  if (key === "End") return rows.length - 1;
  if (index < 0) return key.startsWith("Arrow") || key.startsWith("Page") ? 0 : undefined;
  const leap = { ArrowUp: -1, ArrowDown: 1, PageUp: -linesInSight, PageDown: linesInSight }[key];
  if (leap) return indexAt(layout, Math.min(lines.length - 1, Math.max(0, row.line + leap)), row.lane);
  if (key === "ArrowRight") return row.entry && rows[index + 1]?.line === row.line ? index + 1 : undefined;
  if (key === "ArrowLeft" && row.entry) return row.lane > 0 ? index - 1 : rows.findIndex(({ entry, group }) => !entry && group === row.group);
  return undefined;
}

/** fold(group, collapsed); open(entry). */
export function steer(scroller, grid, { fold, open }) {
  const act = (key) => {
    const row = grid.layout.rows[grid.activeIndex];
    if (row?.entry) return key === "Enter" && (open(row.entry), true);
    if (!row) return false;
    if (key === "Enter" || key === " ") return fold(row.group, !row.group.collapsed), true;
    if (key === "ArrowLeft") return fold(row.group, true), true;
    if (key === "ArrowRight") return fold(row.group, false), true;
    return false;
  };
  scroller.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const next = step(grid.layout, grid.activeIndex, event.key, grid.linesInSight);
    if (next !== undefined) grid.activate(next);
    else if (!act(event.key)) return;
    event.preventDefault();
  });
}
