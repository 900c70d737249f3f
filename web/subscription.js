/* What one watch asked for and has seen: which changes are new to it, and how it resumes. No I/O. */

import { isNewer } from "./frames.js";

const FRAME_MOST_BYTES = 3500; // the server takes 4 KiB
const bytes = new TextEncoder();

export class Subscription {
  /**
   * keys: names, watched before they exist too; prefixes: "" is every key; mode: "latest" or "every";
   * maxRate: changes a second and key, or undefined for all.
   */
  constructor(keys, { prefixes = [], categories = [], mode = "latest", maxRate } = {}) {
    const names = (list) => [...new Set(list.map((name) => name.normalize("NFC")))];
    this.keys = new Set(names(keys));
    this.prefixes = names(prefixes);
    this.categories = new Set(names(categories));
    this.mode = mode;
    this.maxRate = maxRate;
    this.seen = new Map(); // key -> {rev, exists, confirmed: told again since the last subscribe}
  }

  get isBroad() {
    return this.prefixes.length > 0 || this.categories.size > 0;
  }

  /** The frames that subscribe. What is known of a named key is sent along, so that only news comes back. */
  frames(epoch) {
    const frames = [];
    const keys = [...this.keys];
    while (keys.length) {
      const some = [];
      let size = 200;
      do {
        size += 2 * bytes.encode(keys[0]).length + 32; // once in keys, once in since with its rev
        if (some.length && size > FRAME_MOST_BYTES) break;
        some.push(keys.shift());
      } while (keys.length);
      const since = some
        .filter((key) => this.seen.has(key))
        .map((key) => `${JSON.stringify(key)}:${this.seen.get(key).rev}`);
      const known = epoch && since.length ? `,"since":{${since}},"epoch":${JSON.stringify(epoch)}` : "";
      frames.push(this.#frame({ keys: some }, known));
    }
    // No `since` here: thousands of keys do not fit a frame, and a full snapshot also shows what was deleted.
    if (this.isBroad) frames.push(this.#frame({ prefixes: this.prefixes, categories: [...this.categories] }, ""));
    for (const entry of this.seen.values()) entry.confirmed = false;
    return frames;
  }

  #frame(names, known) {
    const rate = this.maxRate === undefined ? {} : { max_rate: this.maxRate };
    return JSON.stringify({ op: "sub", ...names, mode: this.mode, ...rate }).slice(0, -1) + known + "}";
  }

  /** Another epoch: its revs compare with none that was seen. */
  forgetRevs() {
    for (const entry of this.seen.values()) entry.rev = "0";
  }

  #covers({ op, key, category }) {
    if (this.keys.has(key)) return true;
    if (this.prefixes.some((prefix) => key.startsWith(prefix))) return true;
    return op === "del" ? this.seen.has(key) : this.categories.has(category);
  }

  /** The message when it is news for this watch, else null. */
  take(message) {
    if (!this.#covers(message)) return null;
    const before = this.seen.get(message.key);
    if (before && message.op === "snap" && before.rev === message.rev) before.confirmed = true;
    if (before && !isNewer(message.rev, before.rev)) return null;
    this.seen.set(message.key, { rev: message.rev, exists: message.op !== "del", confirmed: true });
    return message;
  }

  /** What a `subbed` reveals: keys that are absent now, and whether ticks were missed. */
  settle({ keys = [], absent = [], recovered = true }) {
    const events = [];
    const gone = (key, rev) => {
      if (rev) this.seen.set(key, { rev, exists: false, confirmed: true });
      events.push({ op: "absent", key });
    };
    for (const key of absent) {
      const entry = this.seen.get(key);
      if (this.keys.has(key) && entry?.exists !== false) gone(key, entry?.rev); // else its `del` was told
    }
    if (!keys.length && this.isBroad) {
      for (const [key, entry] of this.seen) {
        if (entry.exists && !entry.confirmed && !this.keys.has(key)) gone(key, entry.rev);
      }
    }
    events.push({ op: "ready", keys, recovered });
    return events;
  }
}
