/* Which names are asked of the server, how strongly, and what must be asked when watches come and go. No I/O. */

import { isNewer } from "./frames.js";
import { EVERY, FIELDS, UNLIMITED } from "./subscription.js";

const FRAME_MOST_BYTES = 3500; // the server takes 4 KiB
const bytes = new TextEncoder();

/** Per field a Map name -> strength: the strongest wish wins. */
export function merge(subscriptions) {
  const wanted = Object.fromEntries(FIELDS.map((field) => [field, new Map()]));
  for (const subscription of subscriptions) {
    for (const field of FIELDS) {
      for (const name of subscription[field]) {
        wanted[field].set(name, Math.max(wanted[field].get(name) ?? 0, subscription.strength));
      }
    }
  }
  // For one key the server goes by its own name, then by the longest prefix: these must not be weaker than the wider.
  const widest = Math.max(0, ...wanted.categories.values());
  const prefixes = [...wanted.prefixes].sort(([a], [b]) => a.length - b.length);
  for (const field of ["prefixes", "keys"]) {
    for (const [name, own] of wanted[field]) {
      const wider = prefixes.filter(([prefix]) => name.startsWith(prefix)).map(([, strength]) => strength);
      wanted[field].set(name, Math.max(own, widest, ...wider));
    }
  }
  return wanted;
}

/** The `sub` frame of a request {keys, prefixes, categories, strength, since: Map key -> rev, epoch}. */
export function frameOf({ keys, prefixes, categories, strength, since, epoch }) {
  const broad = prefixes.length || categories.length;
  const names = { ...(keys.length || !broad ? { keys } : {}), ...(broad ? { prefixes, categories } : {}) };
  const mode = strength === EVERY ? "every" : "latest";
  const rate = strength < UNLIMITED ? { max_rate: Math.min(strength, 1000) } : {};
  const revs = [...since].map(([key, rev]) => `${JSON.stringify(key)}:${rev}`); // a rev may have 63 bits
  const known = epoch && revs.length ? `,"since":{${revs}},"epoch":${JSON.stringify(epoch)}` : "";
  return `${JSON.stringify({ op: "sub", ...names, mode, ...rate }).slice(0, -1)}${known}}`;
}

function* portions(list, sizeOf) {
  let some = [];
  let size = 200;
  for (const name of list) {
    const more = sizeOf(bytes.encode(name).length);
    if (some.length && size + more > FRAME_MOST_BYTES) {
      yield some;
      some = [];
      size = 200;
    }
    some.push(name);
    size += more;
  }
  if (some.length) yield some;
}

/** The requests, each of one frame, for `wished`: per field the names. sinceOf(key): a rev or undefined. */
export function requestsFor(wished, strength, epoch, sinceOf) {
  const made = [];
  const add = (request) => made.push({ keys: [], prefixes: [], categories: [], since: new Map(), strength, epoch, ...request });
  for (const keys of portions(wished.keys, (size) => 2 * size + 32)) { // once in keys, once in since with its rev
    const since = keys.map((key) => [key, sinceOf(key)]).filter(([, rev]) => rev !== undefined);
    add({ keys, since: new Map(since) });
  }
  // No `since` here: thousands of keys do not fit a frame, and a full snapshot also shows what was deleted.
  for (const prefixes of portions(wished.prefixes, (size) => size + 4)) add({ prefixes });
  for (const categories of portions(wished.categories, (size) => size + 4)) add({ categories });
  return made;
}

/** The lower of two revs; undefined, which asks for everything, is the lowest. */
function lower(a, b) {
  if (a === undefined || b === undefined) return undefined;
  return isNewer(a, b) ? b : a;
}

/** The names asked on one link. */
export class Asked {
  #names = { keys: new Map(), prefixes: new Map(), categories: new Map() }; // name -> {strength, request, settled}
  #pending = new Set();

  get isSettled() {
    return this.#pending.size === 0;
  }

  /** Ask for this key anew at the next plan. */
  again(key) {
    const entry = this.#names.keys.get(key);
    if (entry) entry.strength = 0;
  }

  isAsked(key) {
    return this.#names.keys.has(key);
  }

  /** {dropped: per field the names, requests}. revOf(key): the rev that a watch without one of its own begins from. */
  plan(subscriptions, epoch, revOf) {
    const wanted = merge(subscriptions);
    const dropped = {};
    const groups = new Map();
    for (const field of FIELDS) {
      dropped[field] = [...this.#names[field].keys()].filter((name) => !wanted[field].has(name));
      for (const name of dropped[field]) this.#names[field].delete(name);
      for (const [name, strength] of wanted[field]) {
        if (this.#names[field].get(name)?.strength === strength) continue;
        if (!groups.has(strength)) groups.set(strength, { keys: [], prefixes: [], categories: [] });
        groups.get(strength)[field].push(name);
      }
    }
    const sinceOf = (key) => {
      const revs = subscriptions.filter(({ keys }) => keys.has(key)).map((each) => each.resumeRev(key) ?? revOf(key));
      return revs.reduce(lower);
    };
    const requests = [...groups].flatMap(([strength, wished]) => requestsFor(wished, strength, epoch, sinceOf));
    for (const request of requests) this.#add(request);
    return { dropped, requests };
  }

  #add(request) {
    this.#pending.add(request);
    for (const field of FIELDS) {
      for (const name of request[field]) this.#names[field].set(name, { strength: request.strength, request, settled: false });
    }
  }

  /** `request` is answered. */
  settle(request) {
    this.#pending.delete(request);
    for (const field of FIELDS) {
      for (const name of request[field]) {
        const entry = this.#names[field].get(name);
        if (entry?.request === request) entry.settled = true;
      }
    }
  }

  /** Two halves of a refused request, since one bad name must not cost the others; none when it has only one. */
  halve(request) {
    this.#pending.delete(request);
    const all = FIELDS.flatMap((field) => request[field].map((name) => [field, name]));
    if (all.length < 2) return [];
    const halves = [all.slice(0, all.length >> 1), all.slice(all.length >> 1)].map((some) => ({
      ...request, ...Object.fromEntries(FIELDS.map((field) => [field, some.filter(([of]) => of === field).map(([, name]) => name)])),
    }));
    for (const half of halves) {
      half.since = new Map([...request.since].filter(([key]) => half.keys.includes(key)));
      this.#add(half);
    }
    return halves;
  }

  /** The one name of `request` is refused for good. */
  refuse(request) {
    this.settle(request);
    for (const field of FIELDS) {
      for (const name of request[field]) Object.assign(this.#names[field].get(name) ?? {}, { refused: true });
    }
  }

  /** Whether all that `subscription` names is answered, and not all refused. */
  covers(subscription) {
    const entries = FIELDS.flatMap((field) => [...subscription[field]].map((name) => this.#names[field].get(name)));
    return entries.every((entry) => entry?.settled) && !(entries.length && entries.every((entry) => entry.refused));
  }
}
