/* All watches of one browser, or of one page, over one link: asked for once, told to each as it wished. */

import { Asked, merge } from "./asking.js";
import { Mirror } from "./mirror.js";
import { Reconnector } from "./reconnecting.js";
import { UNLIMITED } from "./subscription.js";
import { Watch } from "./watch.js";

const WEAKEN_AFTER_MS = 1500; // to ask for less costs a snapshot, which a short look at another tab is not worth

export class Session {
  #watches = new Map(); // Subscription -> Watch
  #asked = new Asked();
  #mirror = new Mirror();
  #reconnector;
  #planned = false;
  #weakening;
  #left = false; // a watch ended since the last plan
  #onEpoch;
  epoch = null;
  clockOffsetMs = 0; // what to add to Date.now() for the server's clock

  /** base: URL of the server, with its slash; onState(state, reason); onEpoch(): the epoch, or the clock, changed. */
  constructor({ base, token = null, onState = () => {}, onEpoch = () => {} }) {
    this.#onEpoch = onEpoch;
    this.#reconnector = new Reconnector({
      base, token, onState,
      wanted: () => merge(this.#watches.keys()),
      mark: () => this.#mirror.mark(),
      isSettled: () => this.#asked.isSettled,
      onHello: (hello) => this.#greet(hello),
      onMessage: (message) => this.#take(message),
      onSettled: (request, answer) => this.#settle(request, answer),
      onRefused: (request, error) => this.#refuse(request, error),
      onMissed: (names) => this.#watches.forEach((watch) => watch.subscription.every && watch.miss(names)),
      onLost: () => this.#interrupt(),
    });
  }

  get state() {
    return this.#reconnector.state;
  }

  get reason() {
    return this.#reconnector.reason;
  }

  get carrier() {
    return this.#reconnector.carrier;
  }

  get isFinal() {
    return this.#reconnector.isFinal;
  }

  /** epoch: the one that the subscription's revs are of, where it goes on from elsewhere. */
  watch(subscription, handler, epoch = this.epoch) {
    this.epoch ??= epoch;
    if (epoch !== this.epoch && epoch !== null) subscription.forgetRevs();
    this.#watches.set(subscription, new Watch(subscription, handler));
    for (const key of subscription.keys) if (!this.#holds(subscription, key)) this.#asked.again(key);
    this.#plan();
  }

  unwatch(subscription) {
    this.#watches.get(subscription)?.stop();
    this.#left = this.#watches.delete(subscription) || this.#left;
    this.#plan();
  }

  /** The ceiling of `subscription` changed. */
  retune(subscription) {
    this.#watches.get(subscription)?.retune();
    clearTimeout(this.#weakening);
    if (subscription.ceiling === UNLIMITED) this.#plan();
    else this.#weakening = setTimeout(() => this.#plan(), WEAKEN_AFTER_MS);
  }

  /** Whether somebody looks at a page that this serves: then a silent death is noticed within two seconds. */
  setWatched(isWatched) {
    this.#reconnector.isWatched = isWatched;
    if (isWatched) this.#reconnector.wake();
  }

  wake() {
    this.#reconnector.wake();
  }

  doubt(reason) {
    this.#reconnector.doubt(reason);
  }

  /** Leave without a word about the state. */
  quit() {
    clearTimeout(this.#weakening);
    this.#reconnector.quit();
    for (const watch of this.#watches.values()) watch.stop();
  }

  close(reason) {
    this.quit();
    this.#reconnector.close(reason);
  }

  /** Whether what is known here of `key` is enough to begin, or to go on, without asking. */
  #holds(subscription, key) {
    if (!this.#asked.isAsked(key)) return true; // it will be asked for anyway
    if (!this.#mirror.stateOf(key)) return false;
    const rev = subscription.resumeRev(key);
    return !subscription.every || rev === undefined || rev === this.#mirror.revOf(key);
  }

  #plan() {
    if (this.#planned) return;
    this.#planned = true;
    queueMicrotask(() => this.#ask());
  }

  #ask() {
    this.#planned = false;
    const { link } = this.#reconnector;
    if (!link) return;
    const subscriptions = [...this.#watches.keys()];
    const { dropped, requests } = this.#asked.plan(subscriptions, this.epoch, (key) => this.#mirror.revOf(key));
    if (Object.values(dropped).some((names) => names.length)) link.drop(dropped);
    for (const request of requests) link.ask(request);
    if (this.#left) this.#mirror.purge(subscriptions);
    this.#left = false;
    this.#complete();
  }

  #greet(hello) {
    this.#interrupt(); // the link may stand in for another one
    if (hello.epoch !== this.epoch) {
      if (this.epoch !== null) for (const subscription of this.#watches.keys()) subscription.forgetRevs();
      this.#mirror.clear();
      this.epoch = hello.epoch;
    }
    this.#setClock(hello);
    this.#ask();
    if (this.#asked.isSettled) this.#reconnector.settled();
  }

  #setClock({ time }) {
    if (time !== undefined) this.clockOffsetMs = 1000 * time - Date.now();
    this.#onEpoch();
  }

  #take(message) {
    if (message.op === "hb") this.#setClock(message);
    if (message.key === undefined) return;
    this.#mirror.note(message);
    for (const watch of this.#watches.values()) watch.take(message);
  }

  #settle(request, { absent, recovered }) {
    this.#asked.settle(request);
    const broad = request.prefixes.length || request.categories.length;
    const covers = ({ key, category }) =>
      request.prefixes.some((prefix) => key.startsWith(prefix)) || request.categories.includes(category);
    const gone = broad ? this.#mirror.unheard(request.mark, covers) : [];
    for (const key of [...absent, ...gone]) {
      this.#mirror.noteAbsent(key);
      for (const watch of this.#watches.values()) watch.absent(key);
    }
    if (!recovered) this.#lack(request);
    this.#complete();
    if (this.#asked.isSettled) this.#reconnector.settled();
  }

  /** What an answer lacks concerns those who wait for it. */
  #lack(request) {
    for (const watch of this.#watches.values()) if (!watch.isReady && watch.subscription.asksFor(request)) watch.lack();
  }

  #refuse(request, error) {
    const halves = this.#asked.halve(request);
    for (const half of halves) this.#reconnector.link?.ask(half);
    if (halves.length) return;
    this.#asked.refuse(request);
    for (const watch of this.#watches.values()) if (watch.subscription.asksFor(request)) watch.tell(error);
    this.#complete();
    if (this.#asked.isSettled) this.#reconnector.settled();
  }

  #complete() {
    for (const watch of this.#watches.values()) {
      if (!watch.isReady && this.#asked.covers(watch.subscription)) watch.complete(this.#mirror);
    }
  }

  #interrupt() {
    this.#asked = new Asked();
    for (const watch of this.#watches.values()) watch.interrupt();
  }
}
