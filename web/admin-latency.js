/* How long a change takes on each stage of its way, to the pixels of this browser. */

import { changes, language, t } from "/i18n.js";
import { byId, element } from "/page.js";

const WINDOW_MS = 60_000;
const SAMPLES_MOST = 5000;
const ROUND_TRIPS = 30;
const STAGES = ["commit", "publish", "socket", "painted"];

/** The value below which `part` of the sorted numbers lie; null where there is none. */
export function quantile(sorted, part) {
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] : null;
}

/** What was painted here: from the commit, by the server's clock, to the frame that shows it. */
export class Painted {
  #samples = []; // {at, ms} in order
  #pending = [];
  #channel = new MessageChannel();
  #now;
  #roundTrips = [];

  /** now(): the server's clock as Unix milliseconds. */
  constructor(now) {
    this.#now = now;
    this.#channel.port1.onmessage = ({ data }) => this.#painted(data);
    document.addEventListener("visibilitychange", () => (this.#pending = []));
  }

  /**
   * A call took `ms` there and back. The server's clock is known from a message that was on its way for a while;
   * half of the shortest round trip is the best guess at how long.
   */
  heardBack(ms) {
    this.#roundTrips = [...this.#roundTrips.slice(1 - ROUND_TRIPS), ms];
  }

  /** A change was put into the page. */
  take({ updatedAt }) {
    if (document.hidden) return; // nothing is painted, and no frame comes
    this.#pending.push(Date.parse(updatedAt));
    if (this.#pending.length > 1) return;
    requestAnimationFrame(() => {
      this.#channel.port2.postMessage(this.#pending); // delivered after the frame was painted
      this.#pending = [];
    });
  }

  #painted(committed) {
    const at = performance.now();
    const onItsWay = this.#roundTrips.length ? Math.min(...this.#roundTrips) / 2 : 0;
    const now = this.#now() + onItsWay;
    for (const moment of committed) this.#samples.push({ at, ms: Math.max(0, now - moment) });
    if (this.#samples.length > SAMPLES_MOST) this.#samples.splice(0, this.#samples.length - SAMPLES_MOST);
  }

  /** {p50, p99, count} of the last minute, in milliseconds. */
  summary() {
    const since = performance.now() - WINDOW_MS;
    this.#samples = this.#samples.filter(({ at }) => at >= since);
    const sorted = this.#samples.map(({ ms }) => ms).sort((a, b) => a - b);
    return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), count: sorted.length };
  }
}

export class Latency {
  #painted;
  #stages = {};

  constructor(painted) {
    this.#painted = painted;
    changes.addEventListener("change", () => this.draw());
  }

  /** stages: `stagesMs` of /stats, or undefined while it cannot be asked. */
  show(stages = {}) {
    this.#stages = stages;
    this.draw();
  }

  draw() {
    const painted = this.#painted.summary();
    const found = STAGES.map((name) => [name, name === "painted" ? painted : this.#stages[name] ?? {}]);
    const longest = Math.max(1, ...found.map(([, { p99 }]) => p99 ?? 0));
    byId("latency-rows").replaceChildren(...found.map(([name, stage]) => row(name, stage, longest)));
    byId("latency-note").textContent = painted.count
      ? t("admin.latency.count", { count: painted.count })
      : t("admin.latency.none");
  }
}

function row(name, { p50 = null, p99 = null }, longest) {
  const format = new Intl.NumberFormat(language(), { maximumFractionDigits: 1 });
  const atMost = name === "painted" ? "" : "≤ "; // the server counts in buckets
  const cell = (ms) => element("td", { className: "number", textContent: ms === null ? "–" : `${atMost}${format.format(ms)} ms` });
  const bar = element("span", { className: "bar" });
  // logarithmic, or a stage of 1 ms beside one of 500 ms would not be seen
  for (const [part, ms] of [["p99", p99], ["p50", p50]]) {
    const mark = element("span", { className: part });
    mark.style.inlineSize = `${ms === null ? 0 : (100 * Math.log1p(ms)) / Math.log1p(longest)}%`;
    bar.append(mark);
  }
  const label = element("th", { scope: "row", textContent: t(`admin.latency.${name}`) });
  return element("tr", {}, label, cell(p50), cell(p99), element("td", { ariaHidden: "true", className: "bars" }, bar));
}
