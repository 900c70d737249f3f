/* /benchmark-report: every kind of work of the last `make bench`, and what it reached. */

import { chrome } from "/chrome.js";
import { changes, t } from "/i18n.js";
import { element } from "/page.js";
import { figureName, made, number, ranged, showRun, sideName, sidesTable } from "/report.js";

const ELSEWHERE = "polling"; // the part that /socket-vs-polling shows
const PROCESSES = "processes";
const COUNTS = { "": "1", ", two processes": "2", ", four processes": "4" };

function aimLine({ figure, relation, bound, beside, standing, reached }) {
  const mark = element("span", { className: `mark ${reached ? "up" : "down"}`,
    textContent: `${reached ? "✓" : "×"} ${t(reached ? "report.reached" : "report.missed")}` });
  const words = t(beside ? "report.aim-beside" : "report.aim", {
    figure: figureName(figure), standing: ranged(standing), beside: sideName(beside || "kvcast"),
    relation: relation === ">=" ? "≥" : "≤", bound: number(bound),
  });
  return element("li", {}, mark, ` · ${words}`);
}

function panel({ work, plot, sides, aims, notes }) {
  return element("article", { className: "panel" },
    element("h3", { textContent: work, lang: "en" }),
    element("ul", { className: "aims" }, ...aims.map(aimLine)),
    sidesTable(sides, plot, work, "en"),
    ...notes.map((text) => element("p", { className: "quiet", textContent: text, lang: "en" })));
}

function section(title, nodes) {
  return element("section", {}, element("h2", { textContent: title }), ...nodes);
}

/** Of each work that was run with several processes: kvcast and the peer by their number. */
function byProcesses(parts) {
  const all = new Map(parts.flatMap(({ comparisons }) => comparisons).map((one) => [one.work, one]));
  const works = [...all.keys()].filter((work) => all.has(`${work}, two processes`));
  return works.map((work) => {
    const sides = {};
    for (const [suffix, count] of Object.entries(COUNTS)) {
      const one = all.get(work + suffix);
      for (const side of ["kvcast", "node"]) if (one?.sides[side]) sides[`${sideName(side)}, ${count}`] = one.sides[side];
    }
    const aims = all.get(`${work}, two processes`).aims;
    // of several processes what is delivered in a second matters, not what each of them costs
    const plot = all.get(work).plot.replace("_per_cpu_second", "_per_second");
    return panel({ work, plot, sides, aims, notes: [] });
  });
}

function show(parts) {
  const told = parts.filter(({ part }) => part !== ELSEWHERE);
  if (!told.length) return [element("p", { className: "note", textContent: t("report.none") })];
  const aims = told.flatMap(({ comparisons }) => comparisons.flatMap((one) => one.aims));
  const sum = t("report.reached-of", { reached: aims.filter(({ reached }) => reached).length, all: aims.length });
  const sections = told.filter(({ part }) => part !== PROCESSES)
    .map(({ part, comparisons }) => section(t(`part.${part}`), comparisons.map(panel)));
  const several = byProcesses(told);
  if (several.length) sections.push(section(t("report.processes"), several));
  return [made(told), element("p", { textContent: sum }), ...sections];
}

chrome();
await showRun(show);
changes.addEventListener("change", () => showRun(show));
