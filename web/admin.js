/* /admin: sign in with a token; add, edit and delete keys. An edit saves only over the rev that it began with. */

import { connect } from "/client.js";
import { follow, Listing } from "/listing.js";
import { byId, dropToken, element, keepToken, showState, takeToken } from "/page.js";

let token = takeToken();
let editedRev = null; // of the key in the form; null while adding

const listing = new Listing(byId("keys"), (key) => [
  button("Edit", key, () => edit(key)),
  button("Delete", key, (pressed) => remove(key, pressed)),
]);

function button(text, key, onPress) {
  const made = element("button", { type: "button", textContent: text, ariaLabel: `${text} ${key}` });
  made.addEventListener("click", () => onPress(made));
  return made;
}

function say(text, isError = false) {
  byId("note").textContent = text;
  byId("note").dataset.error = String(isError);
}

/** The parsed answer. Throws an Error whose message is a sentence for people. */
async function call(method, path, body, headers = {}) {
  const sent = { "Content-Type": "application/json", Authorization: `Bearer ${token}`, ...headers };
  let response;
  try {
    response = await fetch(path, { method, headers: sent, body });
  } catch {
    throw new Error("The server did not answer; nothing is known to be saved. Try again when the page is live.");
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const message = answer.error?.message ?? `The server answered ${response.status}.`;
  throw Object.assign(new Error(message), { status: response.status });
}

function clear() {
  editedRev = null;
  byId("edit").reset();
  byId("key").readOnly = false;
  byId("edit-title").textContent = "Add a key";
}

function edit(key) {
  const { value, category, rev } = listing.get(key);
  editedRev = rev;
  byId("edit-title").textContent = "Edit a key";
  byId("key").value = key;
  byId("key").readOnly = true;
  byId("value").value = value;
  byId("category").value = category;
  byId("ttl").value = "";
  say("");
  byId("value").focus();
}

/** The body of /add around the value's own text, so that 2345.60 stays 2345.60. */
function body() {
  const value = byId("value").value.trim();
  try {
    JSON.parse(value);
  } catch {
    throw new Error('The value is not JSON. Text needs quotes: "like this"; a number, true, {…} and […] need none.');
  }
  const category = byId("category").value.trim();
  const ttl = byId("ttl").value;
  const rest = { key: byId("key").value.trim(), ...(category && { category }), ...(ttl && { ttl: Number(ttl) }) };
  return `${JSON.stringify(rest).slice(0, -1)},"value":${value}}`;
}

async function save(event) {
  event.preventDefault();
  const condition = editedRev === null ? { "If-None-Match": "*" } : { "If-Match": `"${editedRev}"` };
  try {
    const { key, rev } = await call("POST", "/add", body(), condition);
    clear();
    say(`Saved ${key} as rev ${rev}.`);
  } catch (error) {
    const conflict = editedRev === null
      ? "Nothing was saved: this key exists. Press Edit in its row to change it."
      : "Nothing was saved: somebody changed this key meanwhile. Press Edit in its row to begin from the new value.";
    say(error.status === 412 ? conflict : error.message, true);
  }
}

async function remove(key, pressed) {
  if (pressed.dataset.armed !== "true") {
    pressed.dataset.armed = "true";
    pressed.textContent = "Really delete";
    const disarm = () => Object.assign(pressed, { textContent: "Delete" }).removeAttribute("data-armed");
    pressed.addEventListener("blur", disarm, { once: true });
    return;
  }
  try {
    await call("DELETE", `/keys/${encodeURIComponent(key)}`);
    say(`Deleted ${key}.`);
  } catch (error) {
    say(error.message, true);
  }
}

async function signIn() {
  try {
    await call("POST", "/batch", "[]"); // asks only whether the token may write
  } catch (error) {
    if (error.status === 401 || error.status === 403) dropToken();
    byId("sign-in").hidden = false;
    byId("token").focus();
    return say(error.message, true);
  }
  keepToken(token);
  say("");
  byId("sign-in").hidden = true;
  byId("console").hidden = false;
  const connection = connect({ token, onState: (state, reason) => showState(byId("state"), state, reason) });
  follow(connection, listing, (change) => change.op === "error" && say(change.message, true));
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value.trim();
  signIn();
});
byId("edit").addEventListener("submit", save);
byId("cancel").addEventListener("click", clear);
byId("find").addEventListener("input", () => listing.find(byId("find").value));
byId("sign-out").addEventListener("click", () => {
  dropToken();
  location.reload();
});
if (token) signIn();
else byId("sign-in").hidden = false;
