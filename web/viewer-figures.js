/* What the chart says without being seen: high, low and count, a sentence, and a table. */

import { language, t } from "/i18n.js";
import { byId, element } from "/page.js";

const TABLE_MOST = 100;
const FIGURES = ["open", "high", "low", "close", "count"];

/** summary: of Candles, or null; range: its name for people. */
export function showFigures(key, range, summary) {
  byId("high").textContent = summary?.high ?? "–";
  byId("low").textContent = summary?.low ?? "–";
  byId("count").textContent = summary?.count ?? "0";
  const sentence = summary
    ? t("viewer.summary", { key, range, ...summary, n: summary.count })
    : t("viewer.summary-empty", { key, range });
  if (byId("plot").ariaLabel !== sentence) byId("plot").ariaLabel = sentence;
}

export function tabulate(candles) {
  const shown = candles.slice(-TABLE_MOST).reverse();
  const clock = new Intl.DateTimeFormat(language(), { dateStyle: "short", timeStyle: "medium", hourCycle: "h23" });
  const heads = ["start", ...FIGURES].map((name) => element("th", { scope: "col", textContent: t(`viewer.column.${name}`) }));
  const rows = shown.map((candle) => {
    const start = element("th", { scope: "row", textContent: clock.format(1000 * candle.start) });
    const cells = FIGURES.map((name) => element("td", { className: "number", textContent: candle[name] }));
    return element("tr", {}, start, ...cells);
  });
  const caption = element("caption", { textContent: t("viewer.table-caption", { n: shown.length }) });
  const head = element("thead", {}, element("tr", {}, ...heads));
  byId("rows").replaceChildren(element("table", {}, caption, head, element("tbody", {}, ...rows)));
}
