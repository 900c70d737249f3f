/* Draws candles with lightweight-charts. Its logo is off because it brings a <style>, which the CSP forbids; the page names
   the maker in words. */

import { language } from "/i18n.js";
import { colour } from "/theme.js";
import { CandlestickSeries, createChart, LineSeries } from "/vendor/lightweight-charts-5.2.1.js";

const LARGEST = 9e13; // the library's limit
const MOST_DECIMALS = 12;
const MARKS = [{ year: "numeric" }, { month: "short" }, { day: "numeric", month: "short" }]; // by the library's TickMarkType
const TIME = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const TIME_WITH_SECONDS = { ...TIME, second: "2-digit" };

export class Plot {
  #chart;
  #series = null;
  #kind;
  #offset = -60 * new Date().getTimezoneOffset(); // the library knows UTC only: it is shown shifted times

  constructor(container) {
    this.#chart = createChart(container, {
      autoSize: true,
      handleScroll: false,
      handleScale: false,
      layout: { attributionLogo: false, fontFamily: getComputedStyle(container).fontFamily },
      timeScale: { tickMarkFormatter: (time, type) => this.#format(time, MARKS[type] ?? (type === 4 ? TIME_WITH_SECONDS : TIME)) },
      localization: { timeFormatter: (time) => this.#format(time, { ...MARKS[2], ...TIME_WITH_SECONDS }) },
    });
    this.restyle();
  }

  #format(time, options) {
    return new Intl.DateTimeFormat(language(), { ...options, timeZone: "UTC" }).format(1000 * time);
  }

  /** Take the colours and the text size of the page anew. */
  restyle() {
    const [text, line, up, down, accent] = ["--muted", "--line", "--up", "--down", "--accent"].map(colour);
    const fontSize = Math.round(0.8 * parseFloat(getComputedStyle(document.documentElement).fontSize));
    this.#chart.applyOptions({
      layout: { background: { color: "transparent" }, textColor: text, fontSize },
      grid: { vertLines: { visible: false }, horzLines: { color: line } },
      rightPriceScale: { borderColor: line },
      timeScale: { borderColor: line, timeVisible: true, secondsVisible: true },
      crosshair: { vertLine: { color: text, labelBackgroundColor: colour("--edge") }, horzLine: { color: text, labelBackgroundColor: colour("--edge") } },
    });
    // Rising candles are hollow, falling ones filled: the direction shows without its colour.
    this.#series?.applyOptions(this.#kind === "candles"
      ? { upColor: "transparent", borderUpColor: up, wickUpColor: up, downColor: down, borderDownColor: down, wickDownColor: down }
      : { color: accent, lineWidth: 2, lineType: 1 });
  }

  #become(kind) {
    if (kind === this.#kind) return;
    if (this.#series) this.#chart.removeSeries(this.#series);
    this.#series = this.#chart.addSeries(kind === "candles" ? CandlestickSeries : LineSeries);
    this.#kind = kind;
    this.restyle();
  }

  /** Draw candles of `bucket` seconds from `first` to `last` (starts). Returns whether they can be drawn. */
  draw(kind, candles, { bucket, first, last }) {
    this.#become(kind);
    const points = new Map();
    let decimals = 0;
    for (const candle of candles) {
      const prices = { open: Number(candle.open), high: Number(candle.high), low: Number(candle.low), close: Number(candle.close) };
      if (!Object.values(prices).every((price) => Math.abs(price) < LARGEST)) return false;
      decimals = Math.max(decimals, ...[candle.high, candle.close].map(decimalsOf));
      points.set(candle.start, kind === "candles" ? prices : { value: prices.close });
    }
    this.#series.applyOptions({ priceFormat: { type: "price", precision: decimals, minMove: 10 ** -decimals } });
    const data = [];
    // Buckets without ticks stand in the data, too: the library spaces by count, not by time.
    for (let start = first; start <= last; start += bucket) data.push({ time: start + this.#offset, ...points.get(start) });
    this.#series.setData(data);
    this.#chart.timeScale().fitContent();
    return true;
  }
}

function decimalsOf(price) {
  if (/[eE]/.test(price)) return 2;
  return Math.min(MOST_DECIMALS, price.split(".")[1]?.length ?? 0);
}
