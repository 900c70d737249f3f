/* How write, read and push fare: their workers, and in Kubernetes their autoscalers and pods. */

import { changes, language, t } from "/i18n.js";
import { byId, element } from "/page.js";

const FUNCTIONS = ["write", "read", "push"];
const RATES = { write: "writes", read: "reads", push: "deliveries" };

export class Functions {
  #answer = null;

  constructor() {
    changes.addEventListener("change", () => this.#draw());
  }

  /** answer: of /admin/functions. */
  show(answer) {
    this.#answer = answer;
    this.#draw();
  }

  #draw() {
    if (!this.#answer) return;
    const { functions, handOver, note, cluster } = this.#answer;
    const notes = [note, ...cluster.notes.map((text) => this.#inWords(text, cluster))].filter(Boolean);
    if (Object.values(functions).some(({ workers }) => workers.some(({ serves }) => serves.length > 1))) {
      notes.unshift(t("admin.functions.one-process"));
    }
    if (handOver.handedOver || handOver.resumed) {
      notes.push(t("admin.functions.hand-over", { handedOver: number(handOver.handedOver), resumed: number(handOver.resumed) }));
    }
    byId("functions-rows").replaceChildren(...FUNCTIONS.map((name) => row(name, functions[name], cluster.functions[name])));
    byId("functions-notes").replaceChildren(...notes.map((text) => element("li", { textContent: text })));
    byId("cluster").replaceChildren(...FUNCTIONS.flatMap((name) => clusterPart(name, cluster.functions[name])));
  }

  #inWords(text, { namespace }) {
    return namespace === null && text.includes("does not run in Kubernetes") ? t("admin.functions.no-cluster") : text;
  }
}

function number(value, digits = 0) {
  return new Intl.NumberFormat(language(), { maximumFractionDigits: digits }).format(value);
}

function row(name, { workers }, inCluster) {
  const sum = (of) => workers.reduce((total, worker) => total + of(worker), 0);
  const [deployment] = inCluster?.deployments ?? [];
  const cells = [
    deployment ? `${deployment.replicas ?? "–"}` : String(workers.length),
    deployment ? `${deployment.ready}/${deployment.replicas ?? "–"}` : `${sum(({ ready }) => Number(ready))}/${workers.length}`,
    workers.length ? `${number(100 * sum(({ cpu }) => cpu), 1)}%` : "–",
    name === "push" ? number(sum(({ connections }) => connections)) : "–",
    t("admin.functions.per-second", { rate: number(sum(({ ratesPerSecond }) => ratesPerSecond[RATES[name]] ?? 0), 1) }),
  ];
  const healthy = workers.length > 0 && workers.every(({ ready }) => ready);
  const mark = element("span", { className: healthy ? "up" : "down", textContent: healthy ? "● " : "▲ ", ariaHidden: "true" });
  const label = element("th", { scope: "row", title: workers.map((worker) => worker.name).join("\n") }, mark, name);
  return element("tr", {}, label, ...cells.map((textContent) => element("td", { className: "number", textContent })));
}

function clusterPart(name, found) {
  if (!found) return [];
  const lines = found.horizontalpodautoscalers.map(({ least, most, current, desired, metrics }) => {
    const measured = metrics.map((metric) => `${metric.name} ${metric.current ?? "–"} / ${metric.target}`).join(", ");
    return element("p", { textContent: t("admin.functions.autoscaler", { least, most, current, desired, metrics: measured }) });
  });
  const pods = found.pods.map(({ name: pod, phase, ready, restarts }) => {
    const state = `${ready ? "●" : "▲"} ${phase}`;
    return element("tr", {}, element("th", { scope: "row", className: "mono", textContent: pod }),
      element("td", { className: ready ? "up" : "down", textContent: state }),
      element("td", { className: "number", textContent: t("admin.functions.restarts", { count: restarts }) }));
  });
  return [element("h3", { textContent: name }), ...lines, element("table", {}, element("tbody", {}, ...pods))];
}
