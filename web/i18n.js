/* The texts of the pages in English and Vietnamese. Each page defines its own, in <page>-text.js. */

import { keep, kept } from "/kept.js";

const LANGUAGES = ["en", "vi"];
const texts = { en: new Map(), vi: new Map() };
const ATTRIBUTES = { label: "aria-label", hint: "placeholder", title: "title" };
let chosen = initial();

/** Fires `change` after the language was switched and the page translated. */
export const changes = new EventTarget();

function initial() {
  const wanted = [kept("language"), ...(navigator.languages ?? [])].map((code) => code?.slice(0, 2).toLowerCase());
  return wanted.find((code) => LANGUAGES.includes(code)) ?? "en";
}

/** Add texts: {en: {name: text}, vi: {...}}. A text is a string with {parameters}, or a function of the parameters. */
export function define(more) {
  for (const code of LANGUAGES) for (const [name, text] of Object.entries(more[code])) texts[code].set(name, text);
}

export function knows(name) {
  return texts[chosen].has(name);
}

/** The text `name` in the chosen language. */
export function t(name, params = {}) {
  const text = texts[chosen].get(name) ?? texts.en.get(name);
  if (text === undefined) throw new Error(`No text has the name ${name}.`);
  if (typeof text === "function") return text(params);
  return text.replace(/\{(\w+)\}/g, (whole, param) => params[param] ?? whole);
}

/** Fill elements below `root` that carry data-text, data-label (aria-label), data-hint (placeholder) or data-title. */
export function translate(root = document) {
  if (root === document) document.documentElement.lang = chosen;
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = t(node.dataset.text);
  for (const [name, attribute] of Object.entries(ATTRIBUTES)) {
    for (const node of root.querySelectorAll(`[data-${name}]`)) node.setAttribute(attribute, t(node.dataset[name]));
  }
}

/** `en` or `vi`. */
export function language() {
  return chosen;
}

export function setLanguage(code) {
  if (!LANGUAGES.includes(code)) throw new RangeError(`There are no texts in ${code}.`);
  chosen = code;
  keep("language", code);
  translate();
  changes.dispatchEvent(new Event("change"));
}
