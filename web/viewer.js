/* /viewer/<key>: one value, large, exactly as it was written. */

import { connect } from "/client.js";
import { ageText, byId, showState, takeToken } from "/page.js";

const TITLE_MOST = 60;
let shown = null; // the change on the screen, null while there is none

function keyOfAddress() {
  try {
    return decodeURIComponent(location.pathname.slice("/viewer/".length)).normalize("NFC");
  } catch {
    return null; // %ff and the like
  }
}

function size(text) {
  if (text.length <= 12) return "short";
  return text.length <= 80 ? "medium" : "long";
}

function showValue(change) {
  shown = change;
  const { key, value, category, rev, updatedAt } = change;
  byId("value").textContent = value;
  byId("value").dataset.size = size(value);
  byId("note").textContent = "";
  byId("category").textContent = category;
  byId("rev").textContent = rev;
  byId("time").dateTime = updatedAt;
  byId("time").textContent = new Date(updatedAt).toLocaleString();
  document.title = `${value.slice(0, TITLE_MOST)} · ${key}`;
}

function showNothing(key, note) {
  shown = null;
  for (const id of ["value", "category", "rev", "time", "age"]) byId(id).textContent = id === "value" ? "" : "–";
  byId("note").textContent = note;
  document.title = `${key} · kvcast`;
}

const ABSENT = "This key does not exist yet. Its value will appear here when it is written.";
const DELETED = "This key was deleted. A new value will appear here when one is written.";

function start(key) {
  byId("key").textContent = key;
  const connection = connect({
    token: takeToken(),
    onState: (state, reason) => {
      document.body.dataset.state = state;
      showState(byId("state"), state, reason);
    },
  });
  const showAge = () => {
    if (shown) byId("age").textContent = ageText(connection.now() - Date.parse(shown.updatedAt));
  };
  setInterval(showAge, 250);
  connection.watch([key], {}, (change) => {
    if (change.op === "snap" || change.op === "upd") {
      showValue(change);
      showAge();
    }
    if (change.op === "absent") showNothing(key, ABSENT);
    if (change.op === "del") showNothing(key, DELETED);
    if (change.op === "error") byId("note").textContent = change.message;
  });
}

const key = keyOfAddress();
if (key) start(key);
else showNothing("No key", "The address names no key; it should end in /viewer/ and the key.");
