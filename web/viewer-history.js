/* What the viewer asks /history for. */

import { elements, members } from "/frames.js";
import { bucketFor, DAY, RANGES, readCandles } from "/viewer-candles.js";

const MOST = 1000;

function bucketName(seconds) {
  return seconds === DAY ? "1d" : `${seconds}s`;
}

export class History {
  constructor(key, token) {
    this.#address = `/history/${encodeURIComponent(key)}`;
    this.#headers = token ? { Authorization: `Bearer ${token}` } : {};
  }

  #address;
  #headers;

  /** The answer's text; null for a key without history. Throws an Error with the server's sentence. */
  async #ask(parameters) {
    const answer = await fetch(`${this.#address}?${new URLSearchParams(parameters)}`, { headers: this.#headers });
    if (answer.status === 404) return null;
    if (answer.ok) return answer.text();
    const said = await answer.json().catch(() => null);
    throw new Error(said?.error?.message ?? `HTTP ${answer.status}.`);
  }

  /** Candles of `bucket` seconds since `since` (Unix seconds, null: all). */
  async candles(bucket, since) {
    const from = since === null ? {} : { since: String(Math.max(0, since)) };
    const text = await this.#ask({ bucket: bucketName(bucket), limit: MOST, ...from });
    return text === null ? [] : readCandles(text);
  }

  /** {bucket, candles} of a range of RANGES that ends at `now` (Unix seconds). */
  async range(name, now) {
    const { seconds, bucket } = RANGES.get(name);
    if (seconds !== null) return { bucket, candles: await this.candles(bucket, firstStart(seconds, bucket, now)) };
    return this.#all(now);
  }

  /** The first tick's time is not known, so ask with finer buckets until they fit the span that they reveal. */
  async #all(now) {
    let bucket = DAY;
    let candles = await this.candles(bucket, null);
    const fitting = () => (candles.length ? bucketFor(now - candles[0].start) : 1);
    while (fitting() < bucket) {
      bucket = fitting();
      candles = await this.candles(bucket, null);
    }
    return { bucket, candles };
  }

  /** The value of the day's first tick, or null. midnight: Unix seconds. */
  async open(midnight) {
    return (await this.candles(DAY, midnight))[0]?.open ?? null;
  }

  /** The newest ticks, newest last: [{value, rev}]. */
  async newest(count) {
    const text = await this.#ask({ limit: count });
    if (text === null) return [];
    return elements(members(text).get("data")).map((tick) => {
      const found = members(tick);
      return { value: found.get("value"), rev: found.get("rev") };
    });
  }
}

/** The first bucket of a range, so that the range ends with the bucket of `now`. */
export function firstStart(seconds, bucket, now) {
  return now - (now % bucket) - seconds + bucket;
}
