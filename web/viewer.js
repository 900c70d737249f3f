/* /viewer/<key>: one value, large, exactly as it was written, with its chart; ?embed=1: a bare widget for a frame. */

import { chrome, showState, stateSlot } from "/chrome.js";
import { connect } from "/client.js";
import { t, translate } from "/i18n.js";
import { byId, takeToken } from "/page.js";
import { applyKeptTheme } from "/theme.js";
import { isPrice } from "/viewer-candles.js";
import { Chart } from "/viewer-chart.js";
import { History } from "/viewer-history.js";
import { pretty } from "/viewer-pretty.js";
import { Quote } from "/viewer-quote.js";
import { showInTab } from "/viewer-tab.js";
import "/viewer-text.js";

const isEmbedded = new URLSearchParams(location.search).get("embed") === "1";

function keyOfAddress() {
  try {
    return decodeURIComponent(location.pathname.slice("/viewer/".length)).normalize("NFC");
  } catch {
    return null; // %ff and the like
  }
}

/** The midnight before now, here, in Unix seconds. */
function today() {
  return Math.floor(new Date().setHours(0, 0, 0, 0) / 1000);
}

function dress() {
  if (!isEmbedded) return chrome();
  document.body.classList.add("embed");
  byId("chrome").remove();
  byId("state-slot").append(stateSlot());
  byId("state-slot").hidden = false;
  applyKeptTheme();
}

class Viewer {
  #key;
  #quote;
  #chart;
  #history;
  #connection;
  #state = ["connecting", ""];
  #day = today();

  constructor(key) {
    const token = takeToken();
    this.#key = key;
    this.#history = new History(key, token);
    this.#quote = new Quote(key);
    this.#chart = new Chart(key, this.#history, () => this.#now());
    this.#connection = connect({ token, onState: (...state) => this.#become(state) });
    this.#connection.watch([key], {}, (change) => this.#take(change));
    this.#showTab();
    setInterval(() => this.#tick(), 250);
    document.addEventListener("visibilitychange", () => !document.hidden && this.#quote.change && this.#compare());
  }

  #now() {
    return this.#connection?.now() ?? Date.now();
  }

  #become(state) {
    this.#state = state;
    document.body.dataset.state = state[0];
    this.#tick();
    this.#showTab();
  }

  #tick() {
    const nowMs = this.#now();
    const age = this.#quote.age(nowMs);
    this.#quote.showAge(nowMs);
    showState(...this.#state, age === null ? null : age / 1000);
    if (this.#day !== today() && this.#quote.change) this.#compare(); // another day, another open
  }

  #take(change) {
    if (change.op === "error") return this.#quote.say(change.message);
    const wasThere = this.#quote.change !== null;
    if (change.op === "ready") return wasThere ? this.#compare() : undefined;
    if (change.op === "snap" || change.op === "upd") {
      this.#quote.take(change);
      this.#chart.add(change);
      if (!wasThere && change.op === "upd") this.#compare();
    }
    if (change.op === "absent") this.#quote.clear("viewer.absent");
    if (change.op === "del") this.#quote.clear("viewer.deleted");
    this.#showBelow();
    this.#showTab();
    this.#tick();
  }

  /** A price has a chart; any other value has a readable form. */
  #showBelow() {
    const { value } = this.#quote.change ?? {};
    byId("chart").hidden = value === undefined || !isPrice(value);
    byId("readable").hidden = value === undefined || isPrice(value);
    if (!byId("readable").hidden) byId("pretty").textContent = pretty(value);
  }

  #showTab() {
    const mark = this.#state[0] === "live" ? this.#quote.mark : "○";
    showInTab(this.#key, this.#quote.change?.value ?? null, mark);
  }

  /** After a start or a gap: what the shown value is compared with, and the chart. */
  async #compare() {
    this.#chart.load();
    this.#day = today();
    let found;
    try {
      found = await Promise.all([this.#history.newest(2), this.#history.open(this.#day)]);
    } catch {
      return; // the chart says so and tries again
    }
    const [ticks, open] = found;
    const at = ticks.findIndex(({ rev }) => rev === this.#quote.change?.rev);
    this.#quote.compareWith({ before: ticks[at - 1]?.value ?? null, open });
    this.#showTab();
  }
}

dress();
const key = keyOfAddress();
if (key) new Viewer(key);
else {
  const quote = new Quote(t("viewer.no-key-name"));
  quote.clear("viewer.no-key");
}
translate();
