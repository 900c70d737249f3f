/* A small store behind real sockets: it answers /ws, /sse, /mget, /keys and /stats as kvcast does, as far as clients see. */

import { serve } from "./socket_server.mjs";

const AT = "2026-01-05T12:00:00.000000Z";
const listOf = (query, name) => query.getAll(name);

export class Store {
  epoch = "e1";
  entries = new Map(); // key -> {value: JSON text or null, rev, category}
  ticks = []; // {key, value, rev, category}
  asked = []; // what WebSocket clients sent, but for pings
  requests = []; // paths of the HTTP calls
  longestAddress = 0;
  streams = []; // what each stream asked for
  blocksSockets = false;
  blocksStreams = false;
  keepsTicks = true;
  watchers = new Set(); // {covers(tick), send(text), every}
  #rev = 0;

  async start(port = 0) {
    this.server = await serve({
      accepts: () => !this.blocksSockets,
      onOpen: (peer) => this.#greet(peer),
      onText: (peer, message) => this.#answer(peer, message),
      onClose: (peer) => peer.watcher && this.watchers.delete(peer.watcher),
      onRequest: (request, response) => this.#http(request, response),
    }, port);
    this.url = this.server.url;
    this.port = this.server.port;
    return this;
  }

  stop() {
    for (const watcher of this.watchers) watcher.end?.();
    this.watchers.clear();
    return this.server.stop();
  }

  set(key, value, category = "metal") {
    this.#change({ key, value, category });
  }

  delete(key) {
    this.#change({ key, value: null, category: this.entries.get(key).category });
  }

  #change(change) {
    const tick = { ...change, rev: (this.#rev += 1) };
    this.entries.set(tick.key, tick);
    this.ticks.push(tick);
    for (const watcher of this.watchers) if (watcher.covers(tick)) watcher.send(this.frame(tick, "upd"));
  }

  frame({ key, value, rev, category }, op) {
    if (value === null) return `{"op":"del","key":"${key}","rev":${rev}}`;
    return `{"op":"${op}","key":"${key}","value":${value},"rev":${rev},"updatedAt":"${AT}","category":"${category}"}`;
  }

  get living() {
    return [...this.entries.values()].filter(({ value }) => value !== null);
  }

  #hello() {
    return JSON.stringify({ op: "hello", epoch: this.epoch, heartbeat: 10, server: "t", time: Date.now() / 1000 });
  }

  #greet(peer) {
    const names = { keys: new Set(), prefixes: new Set(), categories: new Set() };
    const covers = ({ key, category }) => names.keys.has(key) || names.categories.has(category)
      || [...names.prefixes].some((prefix) => key.startsWith(prefix));
    peer.watcher = { covers, send: peer.send, names };
    this.watchers.add(peer.watcher);
    peer.send(this.#hello());
  }

  #answer(peer, message) {
    if (message.op === "ping") return peer.send(JSON.stringify({ op: "hb", time: Date.now() / 1000 }));
    this.asked.push(message);
    for (const [field, names] of Object.entries(peer.watcher.names)) {
      for (const name of message[field] ?? []) names[message.op === "sub" ? "add" : "delete"](name);
    }
    if (message.op === "sub") this.#snapshot(peer.send, message);
    return undefined;
  }

  #snapshot(send, message) {
    const { keys = [], prefixes = [], categories = [], since = {}, epoch, mode } = message;
    if (keys.includes("bad!")) return send('{"op":"error","code":"invalid_key","message":"No."}');
    let recovered = epoch === undefined || epoch === this.epoch;
    for (const entry of this.entries.values()) {
      const { key, value, rev, category } = entry;
      const named = keys.includes(key);
      if (!named && !categories.includes(category) && !prefixes.some((prefix) => key.startsWith(prefix))) continue;
      const from = recovered ? since[key] : undefined;
      if (from !== undefined && rev <= from) continue;
      const replays = mode === "every" && from !== undefined;
      if (replays && this.keepsTicks) {
        for (const tick of this.ticks) if (tick.key === key && tick.rev > from) send(this.frame(tick, "upd"));
      } else {
        if (replays) recovered = false;
        if (value !== null || from !== undefined) send(this.frame(entry, "snap"));
      }
    }
    const absent = keys.filter((key) => (this.entries.get(key)?.value ?? null) === null);
    return send(JSON.stringify({ op: "subbed", keys, absent, recovered }));
  }

  #http(request, response) {
    const { pathname, searchParams } = new URL(request.url, "http://t");
    this.requests.push(pathname);
    this.longestAddress = Math.max(this.longestAddress, request.url.length);
    if (pathname === "/sse" && !this.blocksStreams) return this.#stream(request, response, searchParams);
    const entry = ({ key, value, rev, category }) =>
      `{"key":"${key}","value":${value},"category":"${category}","rev":${rev},"updatedAt":"${AT}","source":"l1"}`;
    const answers = {
      "/stats": () => `{"success":true,"epoch":"${this.epoch}"}`,
      "/mget": () => {
        const keys = listOf(searchParams, "key");
        const found = this.living.filter(({ key }) => keys.includes(key));
        const absent = keys.filter((key) => !found.some((each) => each.key === key));
        return `{"success":true,"data":[${found.map(entry)}],"absent":${JSON.stringify(absent)}}`;
      },
      "/keys": () => {
        const [prefix, category] = [searchParams.get("prefix") ?? "", searchParams.get("category")];
        const found = this.living.filter((each) => each.key.startsWith(prefix) && (!category || each.category === category));
        return `{"success":true,"data":[${found.map(entry)}],"next":null}`;
      },
    };
    response.writeHead(answers[pathname] ? 200 : 404, { "Content-Type": "application/json" });
    return response.end(answers[pathname]?.() ?? "{}");
  }

  #stream(request, response, query) {
    const [keys, prefixes, categories] = ["key", "prefix", "category"].map((name) => listOf(query, name));
    const since = Object.fromEntries(listOf(query, "since").map((text) => [text.slice(0, text.lastIndexOf(":")), Number(text.split(":").at(-1))]));
    const [mode, epoch] = [query.get("mode") ?? "latest", query.get("epoch") ?? undefined];
    this.streams.push({ keys, prefixes, categories, since, mode, epoch, maxRate: query.get("max_rate") });
    if (keys.includes("bad!")) {
      response.writeHead(400, { "Content-Type": "application/json" });
      return response.end('{"error":{"code":"invalid_key","message":"No."}}');
    }
    const covers = ({ key, category }) => keys.includes(key) || categories.includes(category) || prefixes.some((prefix) => key.startsWith(prefix));
    const send = (text) => response.write(`data: ${text}\n\n`);
    const watcher = { covers, send, end: () => response.destroy() };
    this.watchers.add(watcher);
    request.on("close", () => this.watchers.delete(watcher));
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    send(this.#hello());
    return this.#snapshot(send, { keys, prefixes, categories, since, epoch, mode });
  }
}
