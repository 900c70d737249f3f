/* Export: all keys, or those that the list's search names, page by page into a file. */

import { explain } from "/admin-calls.js";
import { csvCell } from "/admin-ticks.js";
import { t } from "/i18n.js";
import { byId, element } from "/page.js";

const PAGE_KEYS = 1000;
const BYTE_ORDER_MARK = "\ufeff"; // or a spreadsheet takes the file for Latin-1

function ndjsonLine({ key, value, category, expiresAt }) {
  const rest = { category, ...(expiresAt && { expiresAt }) };
  return `{"key":${JSON.stringify(key)},"value":${value},${JSON.stringify(rest).slice(1)}\n`;
}

/** A number as it is written, a text without its quotes, anything else as JSON. */
function csvLine({ key, value, category }) {
  const shown = value.startsWith('"') ? JSON.parse(value) : value;
  return `${[key, shown, category].map(csvCell).join(",")}\r\n`;
}

const FORMATS = {
  ndjson: { head: "", line: ndjsonLine, type: "application/x-ndjson" },
  csv: { head: `${BYTE_ORDER_MARK}key,value,category\r\n`, line: csvLine, type: "text/csv" },
};

/** Let the person save `parts` as the file `name`. */
export function download(parts, name, type) {
  const address = URL.createObjectURL(new Blob(parts, { type }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** onKeys(count) after each page. Returns how many keys were saved. */
async function save(calls, filter, format, signal, onKeys) {
  const { head, line, type } = FORMATS[format];
  const parts = [head];
  let count = 0;
  for (let cursor = ""; cursor !== null; ) {
    const page = await calls.page({ ...filter, cursor, limit: PAGE_KEYS }, signal);
    parts.push(page.entries.map(line).join(""));
    count += page.entries.length;
    onKeys(count);
    cursor = page.next;
  }
  const moment = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  download(parts, `kvcast-${moment}.${format}`, type);
  return count;
}

/** filter(): prefix and category of the list's search. */
export function installExport(calls, filter, status) {
  let running = null;
  byId("export").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running) return running.abort();
    const form = new FormData(byId("export"));
    const { signal } = (running = new AbortController());
    byId("export-go").textContent = t("admin.cancel");
    try {
      const wanted = form.get("what") === "found" ? filter() : {};
      const count = await save(calls, wanted, form.get("format"), signal, (keys) => status.say("admin.export.so-far", { keys }));
      status.say("admin.export.done", { keys: count });
    } catch (error) {
      if (signal.aborted) status.say("admin.export.cancelled");
      else status.fail(() => t("admin.export.failed", { reason: explain(error) }));
    }
    running = null;
    byId("export-go").textContent = t("admin.export.go");
  });
}
