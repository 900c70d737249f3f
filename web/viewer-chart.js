/* The chart's section: its range and kind, and how it stays up to date. */

import { changes as languageChanges, t } from "/i18n.js";
import { keep, kept } from "/kept.js";
import { byId, element, write } from "/page.js";
import { changes as themeChanges } from "/theme.js";
import { Candles, isPrice, RANGES } from "/viewer-candles.js";
import { showFigures, tabulate } from "/viewer-figures.js";
import { firstStart } from "/viewer-history.js";
import { Plot } from "/viewer-plot.js";

const KINDS = ["line", "candles"];
const REPAIR_LEAST_MS = 5000;
const RETRY_MS = 3000;

export class Chart {
  #key;
  #history;
  #now;
  #plot = null; // made when there is something to draw
  #candles = new Candles(1);
  #range = RANGES.has(kept("range")) ? kept("range") : "quarter";
  #kind = KINDS.includes(kept("kind")) ? kept("kind") : "line";
  #meanwhile = []; // live ticks that came while history was under way
  #repairing = false;
  #loading = 0; // counts the loads; only the newest may write
  #loaded = false;
  #ticked = false; // since the last repair
  #lastStart = 0; // of the drawn grid
  #scheduled = false;
  #timer;

  /** now(): the server's clock in Unix milliseconds. */
  constructor(key, history, now) {
    this.#key = key;
    this.#history = history;
    this.#now = now;
    this.#choices("ranges", "range", [...RANGES.keys()], (name) => {
      this.#range = name;
      this.load();
    });
    this.#choices("kinds", "kind", KINDS, (name) => {
      this.#kind = name;
      this.#schedule();
    });
    byId("table").addEventListener("toggle", () => this.#schedule());
    languageChanges.addEventListener("change", () => this.#schedule());
    themeChanges.addEventListener("change", () => this.#plot?.restyle());
    setInterval(() => this.#moveOn(), 250);
  }

  #choices(id, name, options, choose) {
    const chosen = { range: this.#range, kind: this.#kind }[name];
    const buttons = options.map((option) => {
      const button = element("button", { type: "button", ariaPressed: String(option === chosen) });
      button.dataset.text = `viewer.${name}.${option}`;
      button.addEventListener("click", () => {
        for (const other of buttons) other.ariaPressed = String(other === button);
        keep(name, option);
        choose(option);
      });
      return button;
    });
    byId(id).append(...buttons);
  }

  #seconds() {
    return Math.floor(this.#now() / 1000);
  }

  /** Read the chosen range anew: at the start, after a gap, for another range. */
  async load() {
    const load = (this.#loading += 1);
    clearTimeout(this.#timer);
    this.#loaded = false;
    this.#meanwhile = [];
    try {
      const { bucket, candles } = await this.#history.range(this.#range, this.#seconds());
      if (load !== this.#loading) return;
      this.#candles = new Candles(bucket);
      this.#loaded = true;
      this.#replace(candles);
    } catch (error) {
      if (load !== this.#loading) return;
      const message = error instanceof TypeError ? t("viewer.no-answer") : error.message;
      this.#say(t("viewer.history-failed", { message }));
      this.#timer = setTimeout(() => this.load(), RETRY_MS);
    }
  }

  /** A live tick. */
  add(change) {
    if (!isPrice(change.value)) return;
    if (!this.#loaded || this.#repairing) this.#meanwhile.push(change);
    if (this.#loaded) this.#take(change);
  }

  #take({ value, updatedAt }) {
    this.#candles.add(value, Math.floor(Date.parse(updatedAt) / 1000));
    this.#ticked = true;
    this.#schedule();
  }

  /** The answer may hold ticks that came meanwhile; whoever counted them twice reads again, as they set #ticked. */
  #replace(candles) {
    this.#candles.replace(candles);
    for (const tick of this.#meanwhile) this.#take(tick);
    this.#meanwhile = [];
    this.#schedule();
    this.#repairLater();
  }

  /** A live watch may skip ticks, so the newest candles are read again while there are news. */
  #repairLater() {
    clearTimeout(this.#timer);
    const waitMs = Math.max(REPAIR_LEAST_MS, 50 * this.#candles.bucket);
    this.#timer = setTimeout(() => (this.#ticked && !document.hidden ? this.#repair() : this.#repairLater()), waitMs);
  }

  async #repair() {
    const load = this.#loading;
    const { bucket } = this.#candles;
    const since = this.#seconds() - Math.max(2 * bucket, (2 * REPAIR_LEAST_MS) / 1000);
    this.#ticked = false;
    this.#repairing = true;
    const candles = await this.#history.candles(bucket, since - (since % bucket)).catch(() => []);
    this.#repairing = false;
    if (load === this.#loading) this.#replace(candles);
  }

  #moveOn() {
    const start = this.#seconds() - (this.#seconds() % this.#candles.bucket);
    if (this.#loaded && start !== this.#lastStart) this.#schedule();
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      if (this.#loaded) this.#draw();
    });
  }

  #grid(all) {
    const { bucket } = this.#candles;
    const { seconds } = RANGES.get(this.#range);
    const now = this.#seconds();
    const last = Math.max(now - (now % bucket), all.at(-1)?.start ?? 0); // a tick may be ahead of our clock
    return { bucket, first: seconds === null ? all[0]?.start ?? last : firstStart(seconds, bucket, last), last };
  }

  #draw() {
    const grid = this.#grid(this.#candles.sorted());
    this.#lastStart = grid.last;
    if (RANGES.get(this.#range).seconds !== null) this.#candles.dropBefore(grid.first);
    const all = this.#candles.sorted();
    const summary = this.#candles.summary();
    showFigures(this.#key, t(`viewer.range.${this.#range}`), summary);
    if (byId("table").open) tabulate(all);
    if (byId("chart").hidden) return; // the library cannot draw into no space
    this.#plot ??= new Plot(byId("plot"));
    const drawn = this.#plot.draw(this.#kind, all, grid);
    byId("plot").dataset.drawn = String(drawn);
    this.#say(!drawn ? t("viewer.unplottable") : all.length ? "" : t("viewer.empty"));
  }

  #say(text) {
    write(byId("chart-note"), text);
  }
}
