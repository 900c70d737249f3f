/* What waits for one port: sent in batches, the next when the last was taken in. A stuck tab costs one entry a key. */

export class Outbox {
  #post;
  #entries = [];
  #newest = new Map(); // what may be replaced: "id key" -> its entry
  #isAway = false; // a batch has not been acknowledged
  #isPlanned = false;

  constructor(post) {
    this.#post = post;
  }

  /** replaceable: only the newest event of its key is of use. */
  push(id, event, replaceable) {
    const name = replaceable && event.key !== undefined ? `${id} ${event.key}` : null;
    const waiting = name && this.#newest.get(name);
    if (waiting) waiting[1] = event.op === "upd" && waiting[1].op === "snap" ? { ...event, op: "snap" } : event;
    else {
      const entry = [id, event];
      this.#entries.push(entry);
      if (name) this.#newest.set(name, entry);
    }
    if (!this.#isPlanned) queueMicrotask(() => this.#flush());
    this.#isPlanned = true;
  }

  acknowledged() {
    this.#isAway = false;
    this.#flush();
  }

  #flush() {
    this.#isPlanned = false;
    if (this.#isAway || !this.#entries.length) return;
    this.#isAway = true;
    this.#post(this.#entries);
    this.#entries = [];
    this.#newest.clear();
  }
}
