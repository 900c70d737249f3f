/* The theme: what the person chose, else what the system asks for. */

import { keep, kept } from "/kept.js";

const THEMES = ["auto", "dark", "light"];
const system = matchMedia("(prefers-color-scheme: dark)");

/** Fires `change` when colours are other than before. */
export const changes = new EventTarget();

/** `auto`, `dark` or `light`. */
export function theme() {
  return document.documentElement.dataset.theme ?? "auto";
}

export function setTheme(name) {
  if (name === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  changes.dispatchEvent(new Event("change"));
}

export function applyKeptTheme() {
  const name = kept("theme");
  if (THEMES.includes(name) && name !== theme()) setTheme(name);
}

export function chooseNextTheme() {
  const name = THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length];
  keep("theme", name);
  setTheme(name);
}

/** The colour of a token such as `--up`, as `rgb(…)`: a canvas knows no custom properties. */
export function colour(token) {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

system.addEventListener("change", () => theme() === "auto" && changes.dispatchEvent(new Event("change")));
