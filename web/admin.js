/* /admin: sign in with a token, then change keys and see how the service fares. */

import "/admin-file-text.js";
import "/admin-text.js";
import { Audit } from "/admin-audit.js";
import { Calls, explain } from "/admin-calls.js";
import { Deletions } from "/admin-deletion.js";
import { Editor } from "/admin-editor.js";
import { installExport } from "/admin-export.js";
import { Functions } from "/admin-functions.js";
import { installImport } from "/admin-import.js";
import { Keys } from "/admin-keys.js";
import { Latency, Painted } from "/admin-latency.js";
import { Status } from "/admin-status.js";
import { chrome, showState } from "/chrome.js";
import { connect } from "/client.js";
import { changes, t } from "/i18n.js";
import { byId, dropToken, keepToken, takeToken } from "/page.js";

const POLL_MS = 2000;

chrome();
const title = () => (document.title = `${t("admin.title")} · kvcast`);
title();
changes.addEventListener("change", title);

async function signIn(token) {
  const calls = new Calls(token);
  const status = new Status(byId("sign-in-status"));
  byId("sign-in-go").disabled = true;
  try {
    await calls.json("POST", "/batch", { body: "[]" }); // asks only whether the token is known
  } catch (error) {
    if (error.status === 401) dropToken();
    byId("sign-in").hidden = false;
    byId("token").focus();
    return status.fail(error);
  } finally {
    byId("sign-in-go").disabled = false;
  }
  keepToken(token);
  byId("sign-in").hidden = true;
  byId("console").hidden = false;
  open(calls);
}

function open(calls) {
  const connection = connect({ token: calls.token, onState: (state, reason) => showState(state, reason) });
  const painted = new Painted(() => connection.now());
  const audit = new Audit({ calls, status: new Status(byId("audit-status")) });
  const changed = () => {
    keys.load();
    audit.load();
  };
  const listed = new Status(byId("keys-status"));
  const editor = new Editor({ calls, status: new Status(byId("edit-status")), onSaved: changed });
  const deletions = new Deletions({ calls, status: listed, onRestored: changed });
  const keys = new Keys({
    calls, connection, status: listed,
    onUpdate: (event) => painted.take(event),
    actions: [
      { name: "edit", run: (key) => editor.edit(key, keys.revOf(key)) },
      { name: "delete", run: (key) => deletions.remove(key, keys.revOf(key)).then(() => audit.load()) },
    ],
  });
  installImport(calls, new Status(byId("import-status")), changed);
  installExport(calls, () => keys.filter(), new Status(byId("export-status")));
  poll(calls, painted);
  changed();
}

/** Ask for the figures again and again while the page is seen. */
function poll(calls, painted) {
  const latency = new Latency(painted);
  const functions = new Functions();
  const note = new Status(byId("functions-status"));
  const ask = async () => {
    if (document.hidden) return;
    const asked = performance.now();
    const stats = await calls.json("GET", "/stats").catch(() => null);
    if (stats) painted.heardBack(performance.now() - asked);
    latency.show(stats?.stagesMs);
    const [answer] = await Promise.allSettled([calls.json("GET", "/admin/functions")]);
    if (answer.status === "fulfilled") {
      functions.show(answer.value);
      note.clear();
    } else note.fail(() => t("admin.functions.failed", { reason: explain(answer.reason) }));
  };
  const again = () => ask().finally(() => setTimeout(again, POLL_MS));
  document.addEventListener("visibilitychange", ask);
  again();
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(byId("token").value.trim());
});
byId("sign-out").addEventListener("click", () => {
  dropToken();
  location.reload();
});
const token = takeToken();
if (token) signIn(token);
else byId("sign-in").hidden = false;
