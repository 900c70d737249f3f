/* What one watch asked for and has seen: which changes are new to it, and how it resumes. No I/O. */

import { isNewer } from "./frames.js";

/** How much a watch wants of a key, as numbers that compare: changes a second, all that are newest, each one. */
export const UNLIMITED = Number.MAX_VALUE;
export const EVERY = Infinity;

/** The kinds of names that can be watched. */
export const FIELDS = ["keys", "prefixes", "categories"];

const names = (list) => [...new Set([list].flat().map((name) => name.normalize("NFC")))];

export class Subscription {
  /**
   * keys: names, watched before they exist too; prefix(es): "" is every key; mode: "latest" or "every";
   * maxRate: changes a second and key, or undefined for all. Throws TypeError.
   */
  constructor(keys, { prefix = [], prefixes = prefix, category = [], categories = category, mode = "latest", maxRate } = {}) {
    if (mode !== "latest" && mode !== "every") throw new TypeError(`mode is "latest" or "every", not ${mode}.`);
    if (maxRate !== undefined && !(maxRate > 0)) throw new TypeError("maxRate is a number above 0.");
    if (maxRate && mode === "every") throw new TypeError('maxRate skips values, so it goes with mode "latest" only.');
    this.keys = new Set(names(keys));
    this.prefixes = names(prefixes);
    this.categories = new Set(names(categories));
    this.mode = mode;
    this.maxRate = maxRate;
    this.ceiling = UNLIMITED; // changes a second that are of use now: few in a hidden tab
    this.began = false; // it was told once that all is there
    this.missed = false; // ticks are known to be missing
    this.seen = new Map(); // key -> {rev: null when it is of another epoch, exists}
  }

  /** One that goes on where another was, from its `description()`. */
  static resumed({ began, missed, ceiling, seen, keys, ...options }) {
    const restored = new Subscription(keys, options);
    return Object.assign(restored, { began, missed, ceiling, seen: new Map(seen) });
  }

  /** All of it, as structured cloning takes it. */
  description() {
    const { keys, prefixes, categories, mode, maxRate, ceiling, began, missed, seen } = this;
    return { keys: [...keys], prefixes, categories: [...categories], mode, maxRate, ceiling, began, missed, seen: [...seen] };
  }

  get every() {
    return this.mode === "every";
  }

  get isBroad() {
    return this.prefixes.length > 0 || this.categories.size > 0;
  }

  get strength() {
    return this.every ? EVERY : Math.min(this.maxRate ?? UNLIMITED, this.ceiling);
  }

  /** The rev of `key` from which it goes on, or undefined to begin with the current value. */
  resumeRev(key) {
    const rev = this.seen.has(key) ? this.seen.get(key).rev : "0";
    if (rev === null || (rev === "0" && !(this.every && this.began))) return undefined;
    return rev;
  }

  /** Another epoch: its revs compare with none that was seen. */
  forgetRevs() {
    for (const entry of this.seen.values()) entry.rev = null;
    this.missed = this.began;
  }

  /** Whether one of these names was asked for here. */
  asksFor({ keys, prefixes, categories }) {
    return keys.some((key) => this.keys.has(key)) || prefixes.some((prefix) => this.prefixes.includes(prefix))
      || categories.some((category) => this.categories.has(category));
  }

  covers({ op, key, category }) {
    if (this.keys.has(key)) return true;
    if (this.prefixes.some((prefix) => key.startsWith(prefix))) return true;
    return op === "del" ? this.categories.size > 0 && this.seen.has(key) : this.categories.has(category);
  }

  /** The message when it is news for this watch, else null. */
  take(message) {
    if (!this.covers(message)) return null;
    const before = this.seen.get(message.key)?.rev ?? "0";
    if (!isNewer(message.rev, before)) return null;
    this.note(message);
    return message;
  }

  /** The event that tells that `key` is absent, or null when that was told. */
  gone(key) {
    const before = this.seen.get(key);
    if (before?.exists === false) return null;
    this.seen.set(key, { rev: before?.rev ?? "0", exists: false });
    return { op: "absent", key };
  }

  /** Remember an event that somebody else found to be news. */
  note({ op, key, rev }) {
    if (op === "absent") this.gone(key);
    else this.seen.set(key, { rev, exists: op !== "del" });
  }
}
