/* The ticks from before the page was opened, fetched for the rows in sight, a few at a time. */

import { elements, members } from "./frames.js";

const AT_ONCE = 3;
const TICKS = 60;
const REST_MS = 5000; // after a refusal, where the server names no other time

export class Histories {
  #token;
  #done;
  #queue = [];
  #running = 0;
  #restUntil = 0;

  /** token: where reads need one; done(entry): its ticks are there. */
  constructor(token, done) {
    this.#token = token;
    this.#done = done;
  }

  /** These entries are in sight; what is not any more need not be fetched. */
  want(entries) {
    this.#queue = entries.filter((entry) => !entry.hasHistory);
    while (this.#running < AT_ONCE && this.#queue.length && Date.now() >= this.#restUntil) this.#fetch(this.#queue.shift());
  }

  async #fetch(entry) {
    this.#running += 1;
    entry.hasHistory = true;
    try {
      const past = await this.#past(entry.key);
      if (past) {
        entry.remember(past);
        this.#done(entry);
      } else entry.hasHistory = false;
    } catch {
      entry.hasHistory = false; // the page says by itself that the server is away
      this.#restUntil = Date.now() + REST_MS;
    }
    this.#running -= 1;
    this.want(this.#queue);
  }

  /** [{value, rev}] with the value's own text; null when the server asks to wait. */
  async #past(key) {
    const headers = this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
    const response = await fetch(`/history/${encodeURIComponent(key)}?limit=${TICKS}`, { headers });
    if (!response.ok) {
      this.#restUntil = Date.now() + (1000 * Number(response.headers.get("Retry-After")) || REST_MS);
      return null;
    }
    return elements(members(await response.text()).get("data")).map((text) => {
      const tick = members(text);
      return { value: tick.get("value"), rev: tick.get("rev") };
    });
  }
}
