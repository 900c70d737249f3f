/* The usual link: one WebSocket. The server answers subscribes in order. */

import { frameOf } from "./asking.js";
import { decodeFrame } from "./frames.js";

const AT_ONCE = 60; // frames; the server closes for more than 100 at once and 50 a second
const PER_SECOND = 40;
const PASSING_CODES = new Set(["unavailable", "storage_unavailable", "outcome_unknown", "bus_unavailable", "overloaded"]);

/**
 * Every link: constructed with {base, token, sink}, then ask(request), drop(names), ping(), close(). It calls
 * sink.message(message), the first being `hello`; sink.settled(request, {absent, recovered});
 * sink.refused(request, error); sink.missed({keys, prefixes, categories}); sink.closed(code), once, and nothing after it.
 */
export class SocketLink {
  #sink;
  #socket;
  #pending = []; // requests in the order of their frames
  #queue = [];
  #allowance = AT_ONCE;
  #timer = null;

  constructor({ base, token, sink }) {
    this.#sink = sink;
    const address = new URL("ws", base);
    address.protocol = address.protocol.replace("http", "ws");
    try {
      this.#socket = new WebSocket(address);
    } catch {
      queueMicrotask(() => this.#lost(1006)); // a page over https may open no ws:
      return;
    }
    this.#socket.onopen = () => token && this.#socket.send(JSON.stringify({ op: "auth", token }));
    this.#socket.onmessage = ({ data }) => this.#receive(data);
    this.#socket.onclose = ({ code }) => this.#lost(code);
    this.#socket.onerror = () => this.#lost(1006); // Node 20 tells of no close after a failed attempt
  }

  ask(request) {
    request.mark = this.#sink.mark();
    this.#pending.push(request);
    this.#send(frameOf(request));
  }

  drop(names) {
    this.#send(JSON.stringify({ op: "unsub", ...names }));
  }

  ping() {
    if (!this.#queue.length) this.#send('{"op":"ping"}');
    return true;
  }

  close() {
    this.#sink = null;
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    if (socket) socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    socket?.close();
  }

  #send(text) {
    this.#queue.push(text);
    if (this.#timer === null) this.#drain();
  }

  #drain() {
    this.#timer = null;
    while (this.#queue.length && this.#allowance >= 1) {
      this.#allowance -= 1;
      this.#socket.send(this.#queue.shift());
    }
    if (this.#allowance >= AT_ONCE) return;
    this.#timer = setTimeout(() => {
      this.#allowance = Math.min(AT_ONCE, this.#allowance + PER_SECOND / 4);
      this.#drain();
    }, 250);
  }

  #receive(text) {
    let messages;
    try {
      messages = decodeFrame(text);
    } catch (error) {
      console.error("kvcast: a frame that is not JSON; connecting again.", error);
      this.#lost(1002);
      return;
    }
    for (const message of messages) if (this.#sink) this.#handle(message);
  }

  #handle(message) {
    if (message.op === "subbed") return this.#settle(message);
    if (message.op !== "error") return this.#sink.message(message);
    if (PASSING_CODES.has(message.code)) return this.#lost(1013);
    const refused = this.#pending.shift();
    if (refused) this.#sink.refused(refused, message);
  }

  #settle({ keys = [], absent = [], recovered = true }) {
    const asked = this.#pending[0];
    if (asked && asked.keys.length === keys.length && asked.keys.every((key, i) => key === keys[i])) {
      this.#pending.shift();
      this.#sink.settled(asked, { absent, recovered });
    } else if (!recovered) this.#sink.missed({ keys, prefixes: [], categories: [] });
  }

  #lost(code) {
    const sink = this.#sink;
    this.close();
    sink?.closed(code);
  }
}
