/* The worker's side: one session for each server and token, and the ports of the tabs that share it. */

import { holdLifeline, watchLifeline } from "./lifelines.js";
import { Outbox } from "./outbox.js";
import { Session } from "./session.js";
import { Subscription } from "./subscription.js";

const BEAT_MS = 1000;
const DEAF_MS = 30_000; // a tab that took in no beat for so long is gone, or frozen and comes back
const LINGER_MS = 3000; // the session outlives a change of page

class Tab {
  #port;
  #shared = null;
  #subscriptions = new Map(); // id -> Subscription
  #outbox;
  #unwatchLife = () => {};
  #heardAt = Date.now();
  isVisible = false;

  constructor(port, sharing) {
    this.#port = port;
    this.sharing = sharing;
    this.#outbox = new Outbox((events) => this.#post({ op: "events", events }));
    port.onmessage = ({ data }) => this.#receive(data);
    port.start?.();
  }

  #post(message) {
    this.#port.postMessage(message);
  }

  #receive(message) {
    this.#heardAt = Date.now();
    if (message.op === "join") this.#join(message);
    else if (!this.#shared) this.#post({ op: "lost" }); // it was taken for dead: it shall join anew
    else if (message.op === "life") this.#unwatchLife = watchLifeline(message.life, () => this.leave());
    else if (message.op === "watch") this.#watch(message);
    else if (message.op === "unwatch") this.#unwatch(message.id);
    else if (message.op === "tune") this.#tune(message);
    else if (message.op === "taken") this.#outbox.acknowledged();
    else if (message.op === "wake") this.#shared.session.wake();
    else if (message.op === "doubt") this.#shared.session.doubt(message.reason);
    else if (message.op === "show") this.#show(message.isVisible);
    else if (message.op === "bye") this.leave();
  }

  #join({ base, token, isVisible }) {
    this.#shared = this.sharing.join(this, base, token);
    this.#post({ op: "welcome" });
    this.sharing.life.then((life) => this.#post({ op: "life", life }));
    this.#show(isVisible);
    this.tellState();
  }

  #watch({ id, description, epoch }) {
    const subscription = Subscription.resumed(description);
    this.#subscriptions.set(id, subscription);
    this.#shared.session.watch(subscription, (event) => this.#outbox.push(id, event, !subscription.every), epoch);
  }

  #unwatch(id) {
    const subscription = this.#subscriptions.get(id);
    if (subscription) this.#shared.session.unwatch(subscription);
    this.#subscriptions.delete(id);
  }

  #tune({ id, ceiling }) {
    const subscription = this.#subscriptions.get(id);
    if (!subscription) return;
    subscription.ceiling = ceiling;
    this.#shared.session.retune(subscription);
  }

  #show(isVisible) {
    this.isVisible = isVisible;
    this.#shared.look();
  }

  tellState() {
    const { state, reason, epoch, clockOffsetMs, carrier } = this.#shared.session;
    this.#post({ op: "state", state, reason, epoch, clockOffsetMs, carrier });
  }

  /** Called once a second: a tab that hears nothing looks for another worker. */
  beat() {
    if (Date.now() - this.#heardAt > DEAF_MS) this.leave();
    else this.#post({ op: "beat" });
  }

  leave() {
    if (!this.#shared) return;
    this.#unwatchLife();
    for (const id of [...this.#subscriptions.keys()]) this.#unwatch(id);
    const shared = this.#shared;
    this.#shared = null;
    shared.leave(this);
  }
}

class Shared {
  #tabs = new Set();
  #lingering = null;

  constructor(base, token, ended) {
    this.ended = ended;
    const tell = () => this.session && this.#tabs.forEach((tab) => tab.tellState());
    this.session = new Session({ base, token, onState: tell, onEpoch: tell });
  }

  join(tab) {
    clearTimeout(this.#lingering);
    this.#tabs.add(tab);
  }

  look() {
    const isWatched = [...this.#tabs].some((tab) => tab.isVisible);
    this.session.setWatched(isWatched);
  }

  beat() {
    for (const tab of [...this.#tabs]) tab.beat();
  }

  leave(tab) {
    this.#tabs.delete(tab);
    this.look();
    if (!this.#tabs.size) this.#lingering = setTimeout(() => this.close(), LINGER_MS);
  }

  close() {
    this.session.close();
    this.ended();
  }
}

export class Sharing {
  #shared = new Map(); // base and token -> Shared
  #beat = setInterval(() => this.#shared.forEach((shared) => shared.beat()), BEAT_MS);
  life = holdLifeline();

  /** Serve one more tab through its port. */
  open(port) {
    return new Tab(port, this);
  }

  join(tab, base, token) {
    const name = JSON.stringify([base, token]);
    if (this.#shared.get(name)?.session.isFinal) this.#shared.delete(name); // a new tab may try again
    const shared = this.#shared.get(name) ?? new Shared(base, token, () => this.#shared.get(name) === shared && this.#shared.delete(name));
    this.#shared.set(name, shared);
    shared.join(tab);
    return shared;
  }

  /** For tests: a worker is ended by its browser. */
  close() {
    clearInterval(this.#beat);
    for (const shared of [...this.#shared.values()]) shared.close();
  }
}
