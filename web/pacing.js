/* At most so many changes a second of each key, the newest of which is never lost. */

export class Pacer {
  #deliver;
  #intervalMs = 0;
  #due = new Map(); // key -> when it may be told again, the earliest first: the interval is the same for all
  #held = new Map(); // key -> the newest that waits
  #timer = null;

  constructor(deliver) {
    this.#deliver = deliver;
  }

  /** changesPerSecond: Infinity for all. What waits is told at once when more is wanted. */
  setRate(changesPerSecond) {
    const before = this.#intervalMs;
    this.#intervalMs = changesPerSecond > 1000 ? 0 : 1000 / changesPerSecond;
    if (this.#intervalMs < before) this.flush();
  }

  put(message) {
    if (!this.#intervalMs) return this.#deliver(message);
    if (this.#due.get(message.key) > Date.now()) {
      this.#held.set(message.key, message);
      this.#timer ??= setTimeout(() => this.#release(), this.#intervalMs / 4);
    } else this.#tell(message);
  }

  /** Tell what waits. */
  flush() {
    this.#due.clear();
    const held = [...this.#held.values()];
    this.stop();
    for (const message of held) this.#deliver(message);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#held.clear();
  }

  #tell(message) {
    this.#due.delete(message.key);
    this.#due.set(message.key, Date.now() + this.#intervalMs);
    this.#deliver(message);
  }

  #release() {
    this.#timer = null;
    for (const [key, due] of [...this.#due]) {
      if (due > Date.now()) break;
      this.#due.delete(key);
      const message = this.#held.get(key);
      if (this.#held.delete(key)) this.#tell(message);
    }
    if (this.#held.size) this.#timer ??= setTimeout(() => this.#release(), this.#intervalMs / 4);
  }
}
