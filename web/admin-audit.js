/* Who changed what on purpose, newest first. */

import { explain } from "/admin-calls.js";
import { changes, language, t } from "/i18n.js";
import { byId, element, viewerLink } from "/page.js";

const PAGE_ROWS = 25;

export class Audit {
  #calls;
  #status;
  #entries = [];
  #next = null;

  constructor({ calls, status }) {
    this.#calls = calls;
    this.#status = status;
    byId("audit-more").addEventListener("click", () => this.#append(this.#next));
    byId("audit-refresh").addEventListener("click", () => this.load());
    changes.addEventListener("change", () => this.#draw());
  }

  load() {
    return this.#append(null);
  }

  async #append(before) {
    try {
      const page = await this.#calls.json("GET", `/audit?limit=${PAGE_ROWS}${before ? `&before=${before}` : ""}`);
      this.#entries = before ? [...this.#entries, ...page.data] : page.data;
      this.#next = page.next;
    } catch (error) {
      return this.#status.fail(() => t("admin.audit.failed", { reason: explain(error) }));
    }
    this.#status.clear();
    this.#draw();
  }

  #draw() {
    const clock = new Intl.DateTimeFormat(language(), { dateStyle: "short", timeStyle: "medium", hourCycle: "h23" });
    byId("audit-rows").replaceChildren(...this.#entries.map((entry) => row(entry, clock)));
    byId("audit-more").hidden = this.#next === null;
    byId("audit-empty").hidden = this.#entries.length > 0;
  }
}

function row({ at, token, action, key, count, rev, note, client }, clock) {
  const what = key === null
    ? element("td", { textContent: count ? t("admin.audit.count", { count }) : t("admin.audit.store") })
    : element("td", {}, element("a", { href: viewerLink(key), textContent: key, dir: "auto" }));
  const cell = (textContent, className = "") => element("td", { textContent, className, dir: "auto" });
  const time = element("time", { dateTime: at, textContent: clock.format(new Date(at)), title: at });
  return element("tr", {}, element("td", { className: "number" }, time), cell(t(`admin.audit.${action}`)), what,
    cell(String(rev), "number"), cell(token), cell(note ?? ""), cell(client ?? "", "number"));
}
