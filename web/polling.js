/* /socket-vs-polling: what a WebSocket and polling gave and cost in the last `make bench WHAT=polling`. */

import { chrome } from "/chrome.js";
import { t } from "/i18n.js";
import { element } from "/page.js";
import { figureName, made, number, showRun, sidesTable } from "/report.js";

const SHOWN = ["updates_seen_percent", "p50_ms", "p99_ms", "requests", "kib_on_the_wire", "bytes_per_update_seen", "cpu_seconds"];

function told({ kvcast: push, polling }) {
  const [, median] = push.p50_ms;
  return t("report.told", {
    push: number(median), polling: number(polling.p50_ms[1]), times: number(polling.p50_ms[1] / median),
    seen: number(push.updates_seen_percent[1]), polled: number(polling.updates_seen_percent[1]),
    bytes: number(polling.bytes_per_update_seen[1] / push.bytes_per_update_seen[1]),
  });
}

/** One figure of every side, as bars. */
function figure(name, sides) {
  const only = Object.fromEntries(Object.entries(sides).map(([side, found]) => [side === "kvcast" ? "push" : side, { [name]: found[name] }]));
  return element("article", { className: "panel" },
    element("h2", { textContent: figureName(name) }), sidesTable(only, name, figureName(name)));
}

function show(parts) {
  const run = parts.find(({ part }) => part === "polling");
  if (!run) return [element("p", { className: "note", textContent: t("report.none-polling") })];
  const [{ sides, notes }] = run.comparisons;
  return [made([run]), element("p", { textContent: told(sides) }),
    ...SHOWN.map((name) => figure(name, sides)),
    ...notes.map((text) => element("p", { className: "quiet", textContent: text, lang: "en" }))];
}

chrome();
await showRun(show);
