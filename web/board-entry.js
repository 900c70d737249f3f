/* One key on the board: its newest change and the ticks behind it. No DOM. */

import { difference, isNumber, percent } from "./decimals.js";
import { fold } from "./fold.js";
import { isNewer } from "./frames.js";

const TICKS_MOST = 60;
const NO_CHANGE = { sign: 0, text: "", share: "" };

export class Entry {
  constructor(change) {
    this.key = change.key;
    this.folded = fold(change.key);
    this.ticks = []; // {value, rev}, oldest first; empty while the value is no number
    this.hasHistory = false;
    this.version = 0; // of what is to be drawn
    this.put(change);
  }

  put(change) {
    this.version += 1;
    this.change = change;
    this.updatedAt = Date.parse(change.updatedAt);
    if (!isNumber(change.value)) this.ticks = [];
    else this.#add(change);
  }

  #add({ value, rev }) {
    if (this.ticks.at(-1)?.rev === rev) return;
    this.ticks.push({ value, rev });
    if (this.ticks.length > TICKS_MOST) this.ticks.shift();
  }

  /** Put older ticks in front: `past` is [{value, rev}], oldest first, as /history tells it. */
  remember(past) {
    this.hasHistory = true;
    this.version += 1;
    if (!isNumber(this.change.value)) return;
    const numbers = past.filter(({ value }) => isNumber(value));
    const last = numbers.at(-1);
    const newer = last ? this.ticks.filter(({ rev }) => isNewer(rev, last.rev)) : this.ticks;
    this.ticks = [...numbers, ...newer].slice(-TICKS_MOST);
  }

  get numbers() {
    return this.ticks.map(({ value }) => Number(value));
  }

  /** Over the ticks that the sparkline shows: {sign, text: "+0.40", share: "+0.02%"}. */
  get movement() {
    if (this.ticks.length < 2) return NO_CHANGE;
    const [from, to] = [this.ticks[0].value, this.ticks.at(-1).value];
    return { ...difference(from, to), share: percent(from, to) };
  }
}
