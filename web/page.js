/* What every page shares: its token, its elements, how it words an age. */

import "/chrome-text.js";
import { t } from "/i18n.js";

const TOKEN = "kvcast.token";

/** The token of the link's fragment, moved into this tab's storage and out of the address; or null. */
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    keepToken(given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  try {
    return sessionStorage.getItem(TOKEN);
  } catch {
    return given; // a foreign frame may have no storage
  }
}

export function keepToken(token) {
  try {
    sessionStorage.setItem(TOKEN, token);
  } catch {
    // the page that was given it goes on with it
  }
}

export function dropToken() {
  sessionStorage.removeItem(TOKEN);
}

export function byId(id) {
  return document.getElementById(id);
}

/** A new element with properties and children; text only ever becomes text. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** Set the text of `node`, which costs nothing when it stands there already. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** "3 s", "2 min 5 s", "4 h 10 min" or "3 d" for a span in milliseconds. */
export function spanText(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [day, hour, minute] = [86_400, 3600, 60].map((size) => Math.floor(seconds / size));
  const unit = (name, n) => t(`age.${name}`, { n });
  if (day) return unit("day", day);
  if (hour) return `${unit("hour", hour)} ${unit("minute", minute % 60)}`;
  return minute ? `${unit("minute", minute)} ${unit("second", seconds % 60)}` : unit("second", seconds);
}

/** "3 s ago" for an age in milliseconds. */
export function ageText(ms) {
  return t("age.ago", { age: spanText(ms) });
}

export function viewerLink(key) {
  return `/viewer/${encodeURIComponent(key)}`;
}
