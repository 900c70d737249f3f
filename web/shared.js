/* A tab's side of the SharedWorker: what Session does, done by the session that all tabs share. */

import { holdLifeline, watchLifeline } from "./lifelines.js";

export const PROTOCOL = "kvcast 1"; // the worker's name: tabs of another version get a worker of their own
const WELCOME_MOST_MS = 5000;
const SILENCE_MS = 2000; // the worker beats every second
const DEAD_MS = 4000;
const CHECK_EVERY_MS = 250;

/** A port to the worker, or null where there is none. onFault is called when it cannot be loaded. */
export function openWorkerPort(onFault) {
  try {
    const worker = new SharedWorker(new URL("./worker.js", import.meta.url), { type: "module", name: PROTOCOL });
    worker.onerror = onFault;
    return worker.port;
  } catch {
    return null; // none here, or this page is of another origin than the worker's file
  }
}

export class SharedSession {
  #port;
  #options;
  #ids = new Map(); // Subscription -> id
  #handlers = new Map(); // id -> {subscription, handler}
  #nextId = 1;
  #heardAt = Date.now();
  #checkedAt = Date.now();
  #check;
  #unwatchLife = () => {};
  #hasQuit = false;
  state = "connecting";
  reason = "";
  epoch = null;
  clockOffsetMs = 0;
  carrier = null;
  #told = null; // what the worker said last of the state
  isWelcome = false;

  /** onDead(): the worker is gone, or never came; watch anew somewhere else. */
  constructor(port, { base, token, isVisible, onState, onDead }) {
    this.#port = port;
    this.#options = { onState, onDead };
    port.onmessage = ({ data }) => this.#receive(data);
    port.start?.();
    this.#post({ op: "join", base, token, isVisible });
    holdLifeline().then((life) => !this.#hasQuit && this.#post({ op: "life", life }));
    this.#check = setInterval(() => this.#listen(), CHECK_EVERY_MS);
  }

  watch(subscription, handler, epoch = this.epoch) {
    const id = this.#nextId++;
    this.#ids.set(subscription, id);
    this.#handlers.set(id, { subscription, handler });
    this.#post({ op: "watch", id, description: subscription.description(), epoch });
  }

  unwatch(subscription) {
    const id = this.#ids.get(subscription);
    this.#ids.delete(subscription);
    if (this.#handlers.delete(id)) this.#post({ op: "unwatch", id });
  }

  retune(subscription) {
    this.#post({ op: "tune", id: this.#ids.get(subscription), ceiling: subscription.ceiling });
  }

  setWatched(isVisible) {
    this.#post({ op: "show", isVisible });
    if (isVisible) this.wake();
  }

  wake() {
    this.#post({ op: "wake" });
    this.#listen();
  }

  doubt(reason) {
    this.#post({ op: "doubt", reason });
  }

  close(reason = "Closed.") {
    this.quit();
    this.#become("offline", reason);
  }

  /** Leave without a word about the state. */
  quit() {
    this.#hasQuit = true;
    clearInterval(this.#check);
    this.#unwatchLife();
    this.#post({ op: "bye" });
    this.#port.onmessage = null;
    this.#port.close();
    this.#handlers.clear();
  }

  #post(message) {
    this.#port.postMessage(message);
  }

  #become(state, reason) {
    if (state === this.state && reason === this.reason) return;
    Object.assign(this, { state, reason });
    this.#options.onState(state, reason);
  }

  #receive(message) {
    this.#heardAt = Date.now();
    if (message.op === "events") this.#take(message.events);
    else if (message.op === "state") this.#follow(message);
    else if (message.op === "beat") this.#post({ op: "beat" });
    else if (message.op === "lost") this.#die();
    else if (message.op === "welcome") this.isWelcome = true;
    else if (message.op === "life") this.#unwatchLife = watchLifeline(message.life, () => this.#die());
  }

  #follow({ state, reason, epoch, clockOffsetMs, carrier }) {
    Object.assign(this, { epoch, clockOffsetMs, carrier, });
    this.#told = { state, reason };
    this.#become(state, reason);
  }

  #take(events) {
    this.#post({ op: "taken" });
    for (const [id, event] of events) {
      const watch = this.#handlers.get(id);
      if (!watch) continue;
      const { subscription, handler } = watch;
      if (event.op === "ready") Object.assign(subscription, { began: true, missed: false });
      else if (event.op !== "error") subscription.note(event);
      handler(event);
    }
  }

  #listen() {
    const now = Date.now();
    const wasStuck = now - this.#checkedAt > 2 * SILENCE_MS; // this tab slept: what the worker said waits behind this
    this.#checkedAt = now;
    if (wasStuck) this.#heardAt = now;
    const silentMs = now - this.#heardAt;
    if (silentMs > (this.isWelcome ? DEAD_MS : WELCOME_MOST_MS)) this.#die();
    else if (this.isWelcome && silentMs > SILENCE_MS && this.state === "live") this.#become("stale", "The browser is busy.");
    else if (this.#told && silentMs < SILENCE_MS) this.#become(this.#told.state, this.#told.reason);
  }

  #die() {
    this.quit();
    this.#options.onDead();
  }
}
