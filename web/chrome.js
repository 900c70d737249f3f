/* The header of every page: name, links, connection state, language and theme. */

import "/chrome-text.js";
import { changes, knows, language, setLanguage, t, translate } from "/i18n.js";
import { byId, element, spanText, write } from "/page.js";
import { applyKeptTheme, chooseNextTheme, theme } from "/theme.js";

const PAGES = [["/", "chrome.board"], ["/admin", "chrome.admin"], ["/docs", "chrome.docs"],
  ["/benchmark-report", "chrome.speed"]];
const MARKS = { connecting: "○", live: "●", stale: "◐", offline: "×" };
let last = null; // what showState was told, to say it again in another language

function link([path, name]) {
  const made = element("a", { href: path });
  made.dataset.text = name;
  if (location.pathname === path) made.setAttribute("aria-current", "page");
  return made;
}

function languageSwitch() {
  const button = element("button", { type: "button", id: "language" });
  button.dataset.text = "chrome.other-code";
  button.dataset.label = "chrome.other-language";
  button.addEventListener("click", () => setLanguage(language() === "en" ? "vi" : "en"));
  return button;
}

function themeSwitch() {
  const mark = element("span", { className: "theme-mark" });
  const button = element("button", { type: "button", id: "theme" }, mark);
  const show = () => {
    mark.dataset.theme = theme();
    button.ariaLabel = button.title = t(`chrome.theme.${theme()}`);
  };
  button.addEventListener("click", () => {
    chooseNextTheme();
    show();
  });
  changes.addEventListener("change", show);
  show();
  return button;
}

/** An element that showState writes into; chrome() puts one into the header. */
export function stateSlot() {
  // Only the words are announced; the age ticks beside them in silence.
  const words = element("span", { id: "state-words", role: "status" });
  return element("span", { id: "state", className: "state" }, words, element("span", { id: "state-age" }));
}

/** Fill <header id="chrome">, apply the kept theme, and translate the page. */
export function chrome() {
  applyKeptTheme();
  const nav = element("nav", {}, ...PAGES.map(link));
  nav.dataset.label = "chrome.pages";
  const switches = element("div", { className: "switches" }, languageSwitch(), themeSwitch());
  const brand = element("a", { className: "brand", href: "/", textContent: "kvcast", translate: false });
  byId("chrome").replaceChildren(brand, nav, stateSlot(), switches);
  translate();
  changes.addEventListener("change", () => last && showState(...last));
}

/**
 * Show the connection's state: connecting, live, stale or offline; reason: the client's sentence, may be empty;
 * ageSeconds: of what the page shows, told unless live.
 */
export function showState(state, reason = "", ageSeconds = null) {
  last = [state, reason, ageSeconds];
  const node = byId("state");
  if (!node) return;
  if (node.dataset.state !== state) node.dataset.state = state;
  write(byId("state-words"), `${MARKS[state]} ${t(`state.${state}`)}${reason ? `: ${knows(reason) ? t(reason) : reason}` : ""}`);
  const old = state !== "live" && ageSeconds !== null;
  write(byId("state-age"), old ? ` · ${t("state.age", { age: spanText(1000 * ageSeconds) })}` : "");
}
