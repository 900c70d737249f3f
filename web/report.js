/* What both pages of measured figures share: reading the run, what it was made on, and a comparison as a table with bars. */

import { knows, language, t } from "/i18n.js";
import { byId, element } from "/page.js";
import "/report-text.js";

const SVG = "http://www.w3.org/2000/svg";
const LENGTH = 1000; // of the longest bar, in units of its drawing
let captions = 0; // made so far: each needs an id of its own
const OURS = /^(kvcast|push)\b/;

/** The parts of the last run, or null where there is none. Rejects where the answer is no report. */
export async function readRun() {
  const answer = await fetch("/reports/benchmark.json");
  if (answer.status === 404) return null;
  if (!answer.ok) throw new Error(`The server answered ${answer.status}.`);
  const { parts } = await answer.json();
  return parts;
}

/** Read the run and show it by `show(parts)`, which gives nodes; says how to make one where there is none. */
export async function showRun(show) {
  try {
    const parts = await readRun();
    if (!parts?.length) {
      byId("note").textContent = t("report.none");
      return;
    }
    byId("report").replaceChildren(...show(parts));
    byId("note").textContent = "";
  } catch (error) {
    console.error(error);
    byId("report").replaceChildren();
    byId("note").textContent = t("report.unreadable");
  }
}

/** Three digits that matter, as the language writes them; null is beyond all numbers. */
export function number(value) {
  if (value === null) return "∞";
  const digits = Math.abs(value) >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 };
  return new Intl.NumberFormat(language(), digits).format(value);
}

/** The median, and least to most where the runs differ. */
export function ranged([least, median, most]) {
  return least === most ? number(median) : `${number(median)} (${number(least)}–${number(most)})`;
}

/** When, where and by which command the runs were made. */
export function made(parts) {
  const list = element("dl", { className: "made" });
  const say = (name, text) => list.append(element("dt", { textContent: t(name) }), element("dd", { textContent: text, translate: false }));
  const dates = parts.map(({ at }) => at).sort();
  const day = (at) => new Date(at).toLocaleString(language(), { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });
  say("report.made", `${[...new Set([dates[0], dates.at(-1)].map(day))].join(" – ")} UTC`);
  for (const name of new Set(parts.flatMap(({ on }) => Object.keys(on)))) {
    if (name === "load") continue;
    const texts = new Set(parts.map(({ on }) => on[name]).filter(Boolean));
    list.append(element("dt", { textContent: name, lang: "en" }), element("dd", { textContent: [...texts].join("; "), lang: "en", translate: false }));
  }
  const loads = parts.filter(({ on }) => on.load).map(({ part, on }) => `${part} ${parseFloat(on.load)}`);
  say("report.load", loads.join(", "));
  say("report.command", [...new Set(parts.map(({ command }) => command))].join("; "));
  return list;
}

function bar([least, median, most], longest) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", `0 0 ${LENGTH} 20`);
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("aria-hidden", "true"); // the figure stands beside it
  const at = (value) => (longest > 0 ? (LENGTH * value) / longest : 0);
  const box = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ width: Math.max(at(median), 1), height: 20, rx: 2 })) box.setAttribute(name, value);
  const range = document.createElementNS(SVG, "path");
  range.setAttribute("d", `M${at(least)} 10H${at(most)}`);
  drawing.append(box, range);
  return element("td", { className: "bar" }, element("div", {}, drawing, ranged([least, median, most])));
}

function names(sides, first) {
  const all = new Set(Object.values(sides).flatMap((figures) => Object.keys(figures)));
  all.delete(first);
  return [first, ...all];
}

/** A figure's or a side's words where there are some, else its name in the run. */
function worded(kind, name) {
  return knows(`${kind}.${name}`) ? t(`${kind}.${name}`) : name.replaceAll("_", " ");
}

export const figureName = (name) => worded("figure", name);
export const sideName = (name) => worded("side", name);

/** A comparison's sides as rows: the figure that is plotted first, as bars, then every other one. */
export function sidesTable(sides, plot, caption, lang = "") {
  const figures = names(sides, plot);
  const longest = Math.max(...Object.values(sides).map((found) => found[plot]?.[2] ?? 0));
  const head = element("tr", {}, element("th", { scope: "col", textContent: t("report.side") }),
    ...figures.map((name) => element("th", { scope: "col", textContent: figureName(name) })));
  const rows = Object.entries(sides).map(([side, found]) => element("tr", { className: OURS.test(side) ? "ours" : "" },
    element("th", { scope: "row", textContent: sideName(side) }),
    ...figures.map((name) => {
      if (!found[name]) return element("td", { textContent: "–" });
      return name === plot ? bar(found[name], longest) : element("td", { textContent: ranged(found[name]) });
    })));
  const name = element("caption", { className: "spoken", textContent: caption, id: `caption-${(captions += 1)}` });
  if (lang) name.lang = lang;
  const table = element("table", {}, name,
    element("thead", {}, head), element("tbody", {}, ...rows));
  // a region that scrolls must be reachable by keyboard
  const region = element("div", { className: "scroll", tabIndex: 0, role: "group" }, table);
  region.setAttribute("aria-labelledby", name.id);
  return region;
}
