/* One watch of a session: what it gets of what the link tells, in which order, and when it is complete. */

import { isNewer } from "./frames.js";
import { Pacer } from "./pacing.js";

export class Watch {
  #handler;
  #pacer;
  #waiting = []; // mode every: what came before the answer, which is told in the order of revs
  #ready = false;
  #recovered = true;

  constructor(subscription, handler) {
    this.subscription = subscription;
    this.#handler = handler;
    this.#pacer = new Pacer((event) => this.#handler(event));
    this.retune();
  }

  get isReady() {
    return this.#ready;
  }

  /** The wanted rate changed. */
  retune() {
    this.#pacer.setRate(this.subscription.strength);
  }

  /** The link is gone: what it still owed will be asked for anew. */
  interrupt() {
    this.#ready = false;
    this.#recovered = true;
    this.#waiting = [];
  }

  stop() {
    this.#handler = () => {};
    this.#pacer.stop();
  }

  /** Something that has no place in the order of changes. */
  tell(event) {
    this.#handler(event);
  }

  /** Ticks of these names are missing; told at once when the watch is complete already. */
  miss(names) {
    const { subscription } = this;
    if (!names.keys.some((key) => subscription.covers({ op: "del", key })) && !subscription.asksFor(names)) return;
    if (this.#ready) this.#handler({ op: "ready", keys: names.keys, recovered: false });
    else this.#recovered = false;
  }

  /** The answer that this watch waits for does not hold all ticks. */
  lack() {
    this.#recovered = false;
  }

  take(message) {
    if (this.subscription.every && !this.#ready) this.#waiting.push(message);
    else this.#emit(this.subscription.take(message));
  }

  absent(key) {
    if (this.#ready && this.subscription.covers({ op: "del", key })) this.#emit(this.subscription.gone(key));
  }

  /** All names are answered: tell what `mirror` holds beyond what was told, what is absent, and that this is all. */
  complete(mirror) {
    const { subscription } = this;
    const candidates = [...this.#waiting, ...mirror.covered(subscription)];
    candidates.sort((a, b) => (isNewer(a.rev, b.rev) ? 1 : a.rev === b.rev ? 0 : -1));
    this.#waiting = [];
    for (const candidate of candidates) {
      const news = subscription.take(candidate);
      this.#emit(news);
      // A wide resume brings the newest of each key only, and one change may stand for many.
      if (news && subscription.every && subscription.began && !subscription.keys.has(news.key)) subscription.missed = true;
    }
    for (const key of subscription.keys) if (mirror.stateOf(key) === "absent") this.#emit(subscription.gone(key));
    for (const [key, { exists }] of subscription.seen) {
      if (exists && !subscription.keys.has(key) && mirror.stateOf(key) !== "live") this.#emit(subscription.gone(key));
    }
    this.#ready = true;
    const recovered = this.#recovered && !(subscription.every && subscription.missed);
    Object.assign(subscription, { began: true, missed: false });
    this.#handler({ op: "ready", keys: [...subscription.keys], recovered });
  }

  #emit(event) {
    if (event) this.#pacer.put(event);
  }
}
