/* Import: lines of a file into batches, each sent until it is answered, always with its own Idempotency-Key. */

import { CallError, explain, reasonOf } from "/admin-calls.js";
import { download } from "/admin-export.js";
import { BadLine, Csv, csvCell, elementOfJson, linesOf, looksLikeJson, textOf } from "/admin-ticks.js";
import { newId } from "/calls.js";
import { t } from "/i18n.js";
import { byId, element } from "/page.js";

const BATCH_MOST_ITEMS = 500;
const BATCH_MOST_BYTES = 900_000;
const REFUSED_MOST = 100_000;
const SHOWN_MOST = 100;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
const encoder = new TextEncoder();

/** One run: what was written, what was refused and why. */
class Import {
  constructor(calls, file, category, signal, onProgress) {
    Object.assign(this, { calls, file, category, signal, onProgress });
    this.written = 0;
    this.refused = []; // {line, reason(): text}
    this.refusedCount = 0;
    this.read = 0;
    this.away = null; // while the server does not take a batch: the error
    this.batch = [];
    this.size = 0;
    this.note = encodeURIComponent(`${t("admin.import.note")} ${file.name}`.replace(/[\p{C}\p{Z}]+/gu, " ").slice(0, 200).toWellFormed());
  }

  async run() {
    let read = null;
    let csv = null;
    for await (const line of linesOf(this.file.stream(), (count) => (this.read += count))) {
      this.signal.throwIfAborted();
      try {
        const text = textOf(line);
        if (!text.trim()) continue;
        if (!read) {
          csv = looksLikeJson(text) ? null : new Csv();
          read = csv ? (one) => csv.take(one, this.category) : (one) => elementOfJson(one, this.category);
        }
        const found = read(text);
        if (found !== null) await this.#add({ line: line.number, body: found });
      } catch (error) {
        this.#bad(error, line.number);
      }
      this.last = line.number;
    }
    try {
      csv?.end();
    } catch (error) {
      this.#bad(error, this.last);
    }
    await this.#send();
  }

  #bad(error, line) {
    if (!(error instanceof BadLine) || error.final) throw error;
    this.#refuse(line, () => t(error.message, error.params));
  }

  #refuse(line, reason) {
    this.refusedCount += 1;
    if (this.refused.length < REFUSED_MOST) this.refused.push({ line, reason });
  }

  async #add(item) {
    const bytes = encoder.encode(item.body).length + 1;
    if (this.batch.length === BATCH_MOST_ITEMS || (this.batch.length && this.size + bytes > BATCH_MOST_BYTES)) await this.#send();
    this.batch.push(item);
    this.size += bytes;
  }

  async #send() {
    const batch = this.batch;
    this.batch = [];
    this.size = 0;
    if (!batch.length) return;
    const { results } = await this.#post(batch.map(({ body }) => body).join("\n"));
    results.forEach(({ error }, index) => {
      if (error) this.#refuse(batch[index].line, () => reasonOf(error));
      else this.written += 1;
    });
    this.onProgress();
  }

  async #post(body) {
    const headers = { "Content-Type": "application/x-ndjson", "Idempotency-Key": newId(), "Kvcast-Note": this.note };
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(LONGEST_WAIT_MS, 2 * wait)) {
      try {
        const answer = await this.calls.json("POST", "/batch", { body, headers, signal: this.signal });
        this.away = null;
        return answer;
      } catch (error) {
        if (!(error instanceof CallError) || !error.passing) throw error;
        this.away = error;
        this.onProgress();
        await pause(1000 * error.retryAfter + Math.random() * wait, this.signal);
      }
    }
  }
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}

function report({ refused, refusedCount, file }) {
  refused.sort((a, b) => a.line - b.line); // the server's refusals came later than the reader's
  const rows = refused.slice(0, SHOWN_MOST).map(({ line, reason }) =>
    element("tr", {}, element("th", { scope: "row", className: "number", textContent: String(line) }), element("td", { textContent: reason() })));
  byId("refused-rows").replaceChildren(...rows);
  byId("refused").hidden = !refused.length;
  byId("refused-title").textContent = t("admin.import.refused", { count: refusedCount, shown: Math.min(refusedCount, SHOWN_MOST) });
  byId("refused-save").onclick = () => {
    const lines = refused.map(({ line, reason }) => `${line},${csvCell(reason())}\r\n`);
    download(["\ufeffline,reason\r\n", ...lines], `${file.name}.refused.csv`, "text/csv");
  };
}

function outcome(run) {
  const params = { written: run.written, refused: run.refusedCount };
  return run.away
    ? t("admin.import.away", { ...params, reason: explain(run.away) })
    : t("admin.import.so-far", params);
}

/** onDone() when something was written. */
export function installImport(calls, status, onDone) {
  let running = null;
  byId("import").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running) return running.abort();
    const [file] = byId("import-file").files;
    if (!file) return status.fail(() => t("admin.import.choose"));
    const progress = byId("import-progress");
    running = new AbortController();
    const run = new Import(calls, file, byId("import-category").value.trim(), running.signal, () => {
      progress.value = file.size ? run.read / file.size : 1;
      status.fail(() => outcome(run));
      byId("import-status").dataset.error = String(Boolean(run.away));
    });
    progress.hidden = false;
    progress.value = 0;
    byId("import-go").textContent = t("admin.cancel");
    const told = () => ({ written: run.written, refused: run.refusedCount });
    try {
      await run.run();
      progress.value = 1;
      status.say("admin.import.done", told());
    } catch (error) {
      const reason = () => (error instanceof BadLine ? t(error.message, error.params) : explain(error));
      if (running.signal.aborted) status.say("admin.import.cancelled", told());
      else status.fail(() => t("admin.import.stopped", { ...told(), reason: reason() }));
    }
    running = null;
    report(run);
    byId("import-go").textContent = t("admin.import.go");
    if (run.written) onDone();
  });
}
