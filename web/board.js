/* /: every key in its category, live; find as you type; Enter opens the viewer. */

import "/board-text.js";
import { Histories } from "/board-history.js";
import { steer } from "/board-keyboard.js";
import { BoardModel } from "/board-model.js";
import { GroupRow, KeyRow } from "/board-rows.js";
import { chrome, showState } from "/chrome.js";
import { connect } from "/client.js";
import { changes, language, t } from "/i18n.js";
import { keep, kept } from "/kept.js";
import { byId, takeToken, viewerLink, write } from "/page.js";
import { VirtualGrid } from "/virtual.js";

const MOST_PER_SECOND = 4; // changes of one key; eyes take no more
const FOLDED = "board.folded";

const token = takeToken();
const model = new BoardModel(JSON.parse(kept(FOLDED) ?? "[]"));
let complete = false; // the first snapshot has arrived
let refusal = ""; // what the server would not give
let asOf = null; // when what is shown was last known to be true

chrome();
const connection = connect({ token, onState: tellState });
const grid = new VirtualGrid(byId("board"), byId("rows"), {
  makers: { entry: () => new KeyRow(model), group: () => new GroupRow(model) },
  layoutOf: (lanes) => model.layout(lanes),
  onDraw: afterDrawing,
  onRest: fetchHistories, // while somebody scrolls there are better uses of the time
  now: () => connection.now(),
});
const histories = new Histories(token, (entry) => grid.touch(entry));

function tellState() {
  const { state, reason } = connection;
  if (state === "live") asOf = Date.now();
  document.body.dataset.state = state;
  showState(state, reason, asOf === null ? null : (Date.now() - asOf) / 1000);
}

function take(change) {
  if (change.op === "snap" || change.op === "upd") {
    const { entry, moved } = model.put(change);
    if (moved) grid.relayout();
    else grid.touch(entry);
  }
  if ((change.op === "del" || change.op === "absent") && model.remove(change.key)) grid.relayout();
  if (change.op === "error") refusal = change.message;
  if (change.op === "ready") complete = true;
  if (change.op === "ready" || change.op === "error") grid.relayout();
  if (change.op === "ready" && !change.recovered) for (const entry of model.entries()) entry.hasHistory = false;
}

function number(n) {
  return n.toLocaleString(language());
}

function tell({ rows, found }) {
  const typed = byId("find").value.trim();
  const all = t("board.keys", { n: model.size, count: number(model.size) });
  const first = rows.find(({ entry }) => entry)?.entry.key;
  const some = t("board.found", { found: number(found), all: number(model.size) });
  if (complete) write(byId("count"), typed ? some : all);
  write(byId("enter"), typed && first ? t("board.enter", { first }) : "");
  let note = refusal;
  if (!note && !complete && !model.size) note = t("board.loading");
  if (!note && complete && !model.size) note = t("board.empty");
  if (!note && model.size && !found) note = t("board.none", { wanted: typed });
  write(byId("note"), note);
}

/** One heading a lane; screen readers need only the first. */
function fitHeading(lanes) {
  const heading = byId("heading");
  while (heading.childElementCount > lanes) heading.lastElementChild.remove();
  while (heading.childElementCount < lanes) {
    const copy = heading.firstElementChild.cloneNode(true);
    copy.ariaHidden = "true";
    for (const node of [copy, ...copy.children]) node.removeAttribute("role");
    copy.removeAttribute("aria-rowindex");
    heading.append(copy);
  }
}

let told = null;
function afterDrawing(layout, lanes) {
  if (layout !== told) {
    told = layout;
    fitHeading(lanes);
    tell(layout);
  }
}

function fetchHistories() {
  if (connection.state === "live") histories.want(grid.drawn.flatMap(({ entry }) => entry ?? []));
}

function open({ key }) {
  location.assign(viewerLink(key));
}

function fold(group, collapsed) {
  if (group) model.toggle(group, collapsed);
  else model.toggleAll(collapsed);
  keep(FOLDED, JSON.stringify([...model.collapsed]));
  grid.relayout();
}

function find() {
  const typed = byId("find").value;
  model.find(typed);
  byId("board").scrollTop = 0;
  grid.activate(-1);
  grid.relayout();
  history.replaceState(null, "", typed.trim() ? `?find=${encodeURIComponent(typed.trim())}` : location.pathname);
}

function onFindKey(event) {
  if (event.key === "ArrowDown") byId("board").focus();
  else if (event.key === "Escape" && byId("find").value) {
    byId("find").value = "";
    find();
  } else return;
  event.preventDefault();
}

byId("find").addEventListener("input", find);
byId("find").addEventListener("keydown", onFindKey);
byId("tools").addEventListener("submit", (event) => {
  event.preventDefault();
  const first = model.layout(1).rows.find(({ entry }) => entry);
  if (byId("find").value.trim() && first) open(first.entry);
});
byId("fold").addEventListener("click", () => fold(null, true));
byId("unfold").addEventListener("click", () => fold(null, false));
byId("rows").addEventListener("click", ({ target }) => {
  const row = grid.rowOf(target);
  if (!row) return;
  grid.activate(grid.layout.rows.indexOf(row));
  if (!row.entry) fold(row.group, !row.group.collapsed);
});
byId("board").addEventListener("focus", () => {
  if (grid.activeIndex < 0) grid.activate(grid.layout.rows.findIndex(({ entry }) => entry));
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target === byId("find") || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  byId("find").select();
});
steer(byId("board"), grid, { fold, open });

function inWords() {
  document.title = `${t("board.title")} · kvcast`;
  grid.relayout();
}
changes.addEventListener("change", inWords);
inWords();
byId("find").value = new URLSearchParams(location.search).get("find") ?? "";
if (byId("find").value) find();
connection.watch([], { prefixes: [""], maxRate: MOST_PER_SECOND }, take);
setInterval(() => {
  grid.showAges();
  tellState();
  fetchHistories();
}, 1000);
