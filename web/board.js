/* /: every key, live, grouped by category. */

import { connect } from "/client.js";
import { follow, Listing } from "/listing.js";
import { byId, showState, takeToken } from "/page.js";

const listing = new Listing(byId("keys"));
const connection = connect({
  token: takeToken(),
  onState: (state, reason) => {
    document.body.dataset.state = state;
    showState(byId("state"), state, reason);
  },
});
let complete = false; // the first snapshot has arrived

function count() {
  const shown = listing.find(byId("find").value);
  byId("count").textContent = shown === listing.size ? `${shown} keys` : `${shown} of ${listing.size} keys`;
  const empty = complete && !listing.size;
  byId("note").textContent = empty ? "There are no keys yet. They appear here as they are written." : "";
}

let size = -1;
follow(connection, listing, (change) => {
  if (change.op === "error") byId("note").textContent = change.message;
  if (change.op === "ready") complete = true;
  if (complete && (change.op === "ready" || size !== listing.size)) {
    size = listing.size;
    count();
  }
});
byId("find").addEventListener("input", count);
