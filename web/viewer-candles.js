/* The buckets of a range: from /history, then live ticks. Prices stay text; only a drawing needs them as numbers. No DOM. */

import { difference } from "./decimals.js";
import { elements, members } from "./frames.js";

// What the server's buckets take for a number.
const NUMBER = /^-?\d+(\.\d+)?([eE][-+]?\d{1,3})?$/;
const SIZES = [1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400];
const MOST_BUCKETS = 300;
export const DAY = 86_400;

/** seconds: how far the range reaches back, null for all; bucket: its size in seconds, null to be found. */
export const RANGES = new Map([
  ["minute", { seconds: 60, bucket: 1 }],
  ["quarter", { seconds: 900, bucket: 15 }],
  ["hour", { seconds: 3600, bucket: 60 }],
  ["day", { seconds: DAY, bucket: 900 }],
  ["all", { seconds: null, bucket: null }],
]);

export function isPrice(text) {
  return text.length <= 64 && NUMBER.test(text);
}

/** The size that shows `seconds` in few enough buckets. */
export function bucketFor(seconds) {
  return SIZES.find((size) => seconds / size <= MOST_BUCKETS) ?? DAY;
}

/** The `data` of an answer of /history?bucket=..., as candles: {start (Unix seconds), open, high, low, close, count}. */
export function readCandles(text) {
  return elements(members(text).get("data")).map((line) => {
    const found = members(line);
    const prices = ["open", "high", "low", "close"].map((name) => [name, found.get(name)]);
    return {
      start: Date.parse(JSON.parse(found.get("start"))) / 1000,
      count: Number(found.get("count")),
      ...Object.fromEntries(prices),
    };
  });
}

const above = (a, b) => difference(b, a).sign > 0;
const higher = (a, b) => (above(b, a) ? b : a);
const lower = (a, b) => (above(a, b) ? b : a);

export class Candles {
  #byStart = new Map();

  constructor(bucket) {
    this.bucket = bucket;
  }

  /** Take candles of the server in place of what stood at their starts. */
  replace(candles) {
    for (const candle of candles) this.#byStart.set(candle.start, candle);
  }

  add(price, atSeconds) {
    const start = atSeconds - (atSeconds % this.bucket);
    const candle = this.#byStart.get(start);
    if (!candle) {
      this.#byStart.set(start, { start, open: price, high: price, low: price, close: price, count: 1 });
      return;
    }
    candle.high = higher(candle.high, price);
    candle.low = lower(candle.low, price);
    candle.close = price;
    candle.count += 1;
  }

  dropBefore(seconds) {
    for (const start of this.#byStart.keys()) if (start + this.bucket <= seconds) this.#byStart.delete(start);
  }

  sorted() {
    return [...this.#byStart.values()].sort((a, b) => a.start - b.start);
  }

  /** {first, last, high, low, count}, or null where there are none. */
  summary() {
    const all = this.sorted();
    if (!all.length) return null;
    return {
      first: all[0].open,
      last: all.at(-1).close,
      high: all.map(({ high }) => high).reduce(higher),
      low: all.map(({ low }) => low).reduce(lower),
      count: all.reduce((sum, { count }) => sum + count, 0),
    };
  }
}
