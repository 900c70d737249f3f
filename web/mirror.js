/* The newest that this browser was told of each key, so that a further watch needs no further answer. No I/O. */

import { isNewer } from "./frames.js";

export class Mirror {
  #entries = new Map(); // key -> {message: null when absent, rev: "0" when unknown, heardAt}
  #now = 0;

  /** A mark: what is heard from now on compares above it. */
  mark() {
    this.#now += 1;
    return this.#now;
  }

  clear() {
    this.#entries.clear();
  }

  note(message) {
    const before = this.#entries.get(message.key);
    if (before) before.heardAt = this.#now;
    if (before && !isNewer(message.rev, before.rev) && !(before.rev === message.rev && !before.message)) return;
    const kept = message.op === "del" ? null : { ...message, op: "snap" };
    this.#entries.set(message.key, { message: kept, rev: message.rev, heardAt: this.#now });
  }

  noteAbsent(key) {
    this.#entries.set(key, { message: null, rev: this.#entries.get(key)?.rev ?? "0", heardAt: this.#now });
  }

  /** "live", "absent" or undefined when nothing is known. */
  stateOf(key) {
    const entry = this.#entries.get(key);
    return entry && (entry.message ? "live" : "absent");
  }

  /** The rev of `key`, or undefined. */
  revOf(key) {
    const rev = this.#entries.get(key)?.rev;
    return rev === "0" ? undefined : rev;
  }

  /** The living keys that `covers(message)` and that were not heard of since `mark`. */
  unheard(mark, covers) {
    return [...this.#entries].filter(([, { message, heardAt }]) => message && heardAt < mark && covers(message)).map(([key]) => key);
  }

  /** The newest message of each living key that `subscription` covers. */
  *covered(subscription) {
    if (subscription.isBroad) {
      for (const { message } of this.#entries.values()) if (message && subscription.covers(message)) yield message;
    } else {
      for (const key of subscription.keys) if (this.stateOf(key) === "live") yield this.#entries.get(key).message;
    }
  }

  /** Forget what no `subscription` covers. */
  purge(subscriptions) {
    for (const [key, { message }] of this.#entries) {
      const told = message ?? { op: "del", key };
      if (!subscriptions.some((subscription) => subscription.covers(told))) this.#entries.delete(key);
    }
  }
}
