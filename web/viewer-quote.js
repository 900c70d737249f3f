/* The value, where it went and how old it is. */

import { difference, isNumber, percent } from "/decimals.js";
import { changes, language, t } from "/i18n.js";
import { ageText, byId, write } from "/page.js";
import { fitted } from "/viewer-fit.js";

const MARKS = new Map([[1, ["▲", "up"]], [-1, ["▼", "down"]], [0, ["=", "same"]]]);

function put(id, text) {
  write(byId(id), text);
}

function areNumbers(...texts) {
  return texts.every((text) => isNumber(text ?? undefined));
}

/** "▲ +0.40 (+0.02%) since the last tick"; hidden where there is nothing to compare with. */
function showChange(id, from, to, since) {
  const node = byId(id);
  node.hidden = !areNumbers(from, to);
  if (node.hidden) return;
  const { sign, text } = difference(from, to);
  const [mark, word] = MARKS.get(sign);
  const share = percent(from, to);
  const parts = [["mark", mark], ["spoken", t(`viewer.${word}`)], ["by", share ? `${text} (${share})` : text], ["since", since]];
  node.dataset.sign = word;
  node.replaceChildren(...parts.flatMap(([name, content]) => {
    const part = Object.assign(document.createElement("span"), { className: name, textContent: content });
    if (name === "mark") part.ariaHidden = "true";
    return [part, " "];
  }));
}

export class Quote {
  #fit = fitted(byId("value"));
  #change = null;
  #before = null; // the value of the tick before
  #open; // the day's first value; null: there was none yet, undefined: not known
  #note = () => ""; // a function, so that it is said in the language of the day
  #scheduled = false;

  constructor(key) {
    put("key", key);
    changes.addEventListener("change", () => this.#show());
  }

  /** The change that is shown, or null. */
  get change() {
    return this.#change;
  }

  /** "▲", "▼", "=", or "" where there is nothing to compare with. */
  get mark() {
    const value = this.#change?.value;
    return areNumbers(this.#before, value) ? MARKS.get(difference(this.#before, value).sign)[0] : "";
  }

  take(change) {
    this.#before = this.#change?.value ?? this.#before;
    this.#change = change;
    if (this.#open === null && change.op === "upd") this.#open = change.value;
    this.#note = () => "";
    this.#show();
  }

  /** before: the value of the tick before the shown one, null: not known; open: the day's first, null: none. */
  compareWith({ before, open }) {
    this.#before = before ?? this.#before;
    this.#open = open;
    this.#show();
  }

  /** There is no value; noteName: the text that says why. */
  clear(noteName) {
    [this.#change, this.#before, this.#open] = [null, null, undefined];
    this.#note = () => t(noteName);
    this.#show();
  }

  say(text) {
    this.#note = () => text;
    this.#show();
  }

  /** Once a frame, however many ticks come. */
  #show() {
    if (!this.#scheduled) requestAnimationFrame(() => this.#draw());
    this.#scheduled = true;
  }

  #draw() {
    this.#scheduled = false;
    const { value = null, category = "–", rev = "–", updatedAt } = this.#change ?? {};
    put("value", value ?? "");
    byId("value").dataset.kind = isNumber(value ?? undefined) ? "number" : "other";
    put("note", this.#note());
    put("category", category);
    put("rev", rev);
    byId("time").dateTime = updatedAt ?? "";
    const clock = new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
    put("time", updatedAt ? clock.format(new Date(updatedAt)) : "–");
    showChange("since-tick", this.#before, value, t("viewer.since-tick"));
    showChange("since-open", this.#open, value, t("viewer.since-open", { open: this.#open }));
    this.#fit();
  }

  /** Milliseconds since the value was written, or null. nowMs: by the server's clock. */
  age(nowMs) {
    return this.#change && Math.max(0, nowMs - Date.parse(this.#change.updatedAt));
  }

  showAge(nowMs) {
    const age = this.age(nowMs);
    put("age", age === null ? "–" : ageText(age));
  }
}
