/* Keeps one link to the server: which kind, when to try again, and in which state the connection is. */

import { EventLink } from "./event-link.js";
import { PollLink } from "./poll-link.js";
import { Silence } from "./silence.js";
import { SocketLink } from "./socket-link.js";

const HELLO_MOST_MS = 5000;
const SHORTEST_WAIT_MS = 500;
const HAND_OVER_MOST_MS = 500;
const HAND_OVER_CODES = [1001, 1012]; // by a server that ends and spreads its closings itself
const LONGEST_WAIT_MS = 10_000;
const CHECK_EVERY_MS = 200;
const CLIMB_AFTER_MS = [5000, 15_000, 60_000]; // from a lower kind of link; the last again and again
const FINAL_CODES = new Map([
  [4400, "The server did not understand this page; reload it."],
  [4401, "Reading needs a token here; open the link that holds one."],
  [4403, "This token, or a page of this origin, may not read here."],
]);

export class Reconnector {
  #options; // {base, token, wanted(): per field a Map, mark(), isSettled(), onState, onHello, onMessage, onSettled, ...}
  #link = null; // that said hello
  #trying = null; // that has yet to; beside #link it is an attempt to climb
  #helloTimer;
  #retryTimer;
  #climbTimer;
  #pulse;
  #failures = 0;
  #climbs = 0;
  #silence = new Silence();
  #final = false;
  isWatched = true; // somebody looks at a page that this serves
  state = "connecting";
  reason = "";

  constructor(options) {
    this.#options = options;
    this.#pulse = setInterval(() => this.#check(), CHECK_EVERY_MS);
    this.#connect();
  }

  /** What carries now: "SocketLink", "EventLink", "PollLink" or null. */
  get carrier() {
    return this.#link?.constructor.name ?? null;
  }

  get link() {
    return this.#link;
  }

  get isFinal() {
    return this.#final;
  }

  /** All that was asked for is answered. */
  settled() {
    this.#failures = 0;
    this.#become("live");
  }

  /** Leave without a word about the state. */
  quit() {
    this.#final = true;
    clearInterval(this.#pulse);
    this.#drop();
  }

  close(reason = "Closed.") {
    this.quit();
    this.#become("offline", reason);
  }

  /** Somebody looks again, or the network came or went: find out at once. */
  wake() {
    if (this.#final) return;
    if (!this.#link) {
      if (!this.#trying) this.#connect();
      return;
    }
    if (this.#silence.isProbed) return;
    if (this.#link.ping()) this.#silence.probed();
    else if (this.#silence.isOverdue) this.#lost(1006);
  }

  /** What is shown may be old, whatever the link says. */
  doubt(reason) {
    if (this.state === "live") this.#become("stale", reason);
    this.wake();
  }

  #become(state, reason = "") {
    if (state === this.state && reason === this.reason) return;
    this.state = state;
    this.reason = reason;
    this.#options.onState(state, reason);
  }

  /** Every second attempt goes down the ladder when the socket fails: blocked is not the same as dead. */
  #connect() {
    clearTimeout(this.#retryTimer);
    const hasNames = Object.values(this.#options.wanted()).some((names) => names.size);
    const descends = hasNames && this.#failures % 2 === 1;
    this.#try(descends ? [SocketLink, EventLink, PollLink] : [SocketLink]);
  }

  #try([Kind, ...rest]) {
    const { base, token, wanted, mark } = this.#options;
    let link = null;
    const isOurs = () => link !== null && (link === this.#link || link === this.#trying);
    const failed = (code) => {
      clearTimeout(this.#helloTimer);
      this.#trying = null;
      if (rest.length && !FINAL_CODES.has(code)) this.#try(rest);
      else if (this.#link) this.#climbLater();
      else this.#lost(code);
    };
    const sink = {
      mark,
      message: (message) => isOurs() && this.#heard(link, message),
      settled: (request, answer) => link === this.#link && this.#options.onSettled(request, answer),
      refused: (request, error) => link === this.#link && this.#options.onRefused(request, error),
      missed: (names) => link === this.#link && this.#options.onMissed(names),
      closed: (code) => {
        if (link === this.#link) this.#lost(code);
        else if (link === this.#trying) failed(code);
      },
    };
    link = new Kind({ base, token, sink, wanted });
    this.#trying = link;
    this.#helloTimer = setTimeout(() => {
      link.close();
      if (link === this.#trying) failed(1006);
    }, HELLO_MOST_MS);
  }

  #heard(link, message) {
    this.#silence.heard(message);
    if (link === this.#trying && message.op === "hello") this.#adopt(link, message);
    else if (link === this.#link) this.#options.onMessage(message);
    if (this.state === "stale" && this.#link && this.#options.isSettled()) this.#become("live");
  }

  #adopt(link, hello) {
    clearTimeout(this.#helloTimer);
    this.#link?.close();
    this.#link = link;
    this.#trying = null;
    if (link instanceof SocketLink) this.#climbs = 0;
    else this.#climbLater();
    this.#options.onHello(hello);
  }

  #climbLater() {
    clearTimeout(this.#climbTimer);
    const wait = CLIMB_AFTER_MS[Math.min(this.#climbs, CLIMB_AFTER_MS.length - 1)];
    this.#climbs += 1;
    this.#climbTimer = setTimeout(() => this.#link && !this.#trying && this.#try([SocketLink]), wait);
  }

  #drop() {
    for (const timer of [this.#helloTimer, this.#retryTimer, this.#climbTimer]) clearTimeout(timer);
    this.#link?.close();
    this.#trying?.close();
    this.#link = this.#trying = null;
    this.#silence.reset();
    this.#options.onLost();
  }

  #lost(code) {
    this.#drop();
    if (FINAL_CODES.has(code)) {
      this.close(FINAL_CODES.get(code));
      return;
    }
    // Full jitter: thousands of browsers that lost one server must not come back in one instant.
    const isHandOver = HAND_OVER_CODES.includes(code) && this.#failures === 0;
    const bound = isHandOver ? HAND_OVER_MOST_MS : Math.min(LONGEST_WAIT_MS, 1000 * 2 ** this.#failures);
    const least = isHandOver ? 0 : SHORTEST_WAIT_MS;
    const jittered = least + Math.random() * (bound - least);
    this.#become(this.state === "live" ? "stale" : "offline", "Connecting again.");
    this.#failures += 1;
    this.#retryTimer = setTimeout(() => this.#connect(), code === 4429 ? LONGEST_WAIT_MS : jittered);
  }

  #check() {
    if (this.#silence.slept()) this.wake();
    if (!this.#link) return;
    if (this.isWatched && this.#silence.wantsPing && this.#link.ping()) this.#silence.pinged();
    const { isDeaf } = this.#silence;
    if (isDeaf || this.#silence.isTooLong) {
      this.#lost(1006);
      if (isDeaf) this.#connect(); // it was asked because somebody looks, or the network is another one
    } else if (this.state === "live" && this.#silence.isDoubtful(this.isWatched)) this.#become("stale", "The server is silent.");
  }
}
