/* /docs: /openapi.json in a form that people read. */

import { chrome } from "/chrome.js";
import { changes, t } from "/i18n.js";
import { byId, element } from "/page.js";
import "/docs-text.js";

const METHODS = ["get", "post", "delete"];
let description;

function resolve(node) {
  let found = node;
  while (found?.$ref) found = found.$ref.slice(2).split("/").reduce((at, name) => at[name], description);
  return found ?? {};
}

/** A short name of a schema: `string`, `Entry[]`, `integer 1..1000`. */
function typeOf(schema) {
  if (schema?.$ref) return schema.$ref.split("/").pop();
  if (schema?.oneOf || schema?.anyOf) return (schema.oneOf ?? schema.anyOf).map(typeOf).join(" or ");
  if (schema?.type === "array") return `${typeOf(schema.items)}[]`;
  if (schema?.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  if (schema?.const !== undefined) return JSON.stringify(schema.const);
  const limits = schema?.minimum !== undefined || schema?.maximum !== undefined;
  const name = [schema?.type ?? "any JSON"].flat().join(" or ");
  return limits ? `${name} ${schema.minimum ?? ""}..${schema.maximum ?? ""}` : name;
}

/** Text whose `parts` in backticks stand out as code. */
function prose(tag, text, className = "") {
  const parts = text.split("`").map((part, i) => (i % 2 ? element("code", { textContent: part }) : part));
  return element(tag, { className }, ...parts);
}

function inEnglish(node) {
  node.lang = "en";
  return node;
}

function table(rows) {
  const row = ([name, type, text, more = ""]) => {
    const head = element("th", { scope: "row", className: "name" }, element("code", { textContent: name }));
    const kind = element("span", { className: "quiet", textContent: type, translate: false });
    return element("tr", {}, head, element("td", {}, kind, element("br"), inEnglish(prose("span", text ?? "")), more));
  };
  return element("table", {}, element("tbody", {}, ...rows.map(row)));
}

function exampleOf(content) {
  const media = Object.values(content ?? {})[0] ?? {};
  const example = media.example ?? resolve(Object.values(media.examples ?? {})[0]).value;
  return example === undefined || typeof example === "string" ? example : JSON.stringify(example);
}

function quoted(text) {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

function curl(path, method, operation, parameters) {
  const of = (place) => parameters.filter((one) => one.in === place && (one.required || one["x-try"]) && one.example !== undefined);
  let target = path;
  for (const { name, example } of of("path")) target = target.replace(`{${name}}`, encodeURIComponent(example));
  const query = of("query").flatMap(({ name, example }) => [example].flat().map((one) => [name, one]));
  const search = query.length ? `?${new URLSearchParams(query)}` : "";
  const verb = method === "get" ? [] : ["-X", method.toUpperCase()];
  const parts = ["curl", ...verb, quoted(location.origin + target + search)];
  if (operation.security.every((one) => one.bearer)) {
    parts.push("-H", '"Authorization: Bearer $KVCAST_TOKEN"');
  }
  const content = resolve(operation.requestBody).content;
  const example = exampleOf(content);
  if (example !== undefined) {
    parts.push("-H", quoted(`Content-Type: ${Object.keys(content)[0]}`), "-d", quoted(example));
  }
  return parts.join(" ");
}

function answerRow([status, node]) {
  const answer = resolve(node);
  const contents = Object.entries(answer.content ?? {});
  const body = contents.map(([media, { schema }]) => `${typeOf(schema)} (${media})`).join(", ");
  const headers = Object.keys(answer.headers ?? {}).join(", ");
  return [status, body, answer.description, headers && ` ${t("docs.headers", { names: headers })}`];
}

function memberRow([name, schema]) {
  return [name, typeOf(schema), schema.description ?? resolve(schema).description];
}

function anchor(method, path) {
  return `${method}-${path.replace(/\W+/g, "-").replace(/^-|-$/g, "")}`;
}

function show(path, method, operation, shared) {
  const parameters = [...(shared ?? []), ...(operation.parameters ?? [])].map(resolve);
  const title = element("code", { textContent: `${method.toUpperCase()} ${path}` });
  const block = element("section", { className: "operation panel", id: anchor(method, path) }, element("h2", {}, title),
    element("p", { textContent: operation.summary, lang: "en" }), inEnglish(prose("p", operation.description ?? "", "quiet")));
  const part = (title, ...nodes) => block.append(element("h3", { textContent: title }), ...nodes);
  if (parameters.length) {
    part(t("docs.parameters"), table(parameters.map(({ name, in: place, required, schema, description: text }) =>
      [name, `${place}, ${typeOf(schema)}${required ? `, ${t("docs.required")}` : ""}`, text])));
  }
  const body = resolve(operation.requestBody);
  for (const [media, { schema }] of Object.entries(body.content ?? {})) {
    const members = Object.entries(resolve(schema).properties ?? {});
    part(t("docs.body", { media }), element("p", { textContent: typeOf(schema), translate: false }),
      ...(members.length ? [table(members.map(memberRow))] : []));
  }
  part(t("docs.answers"), table(Object.entries(operation.responses).map(answerRow)));
  part(t("docs.try"), element("pre", { textContent: curl(path, method, operation, parameters) }));
  return block;
}

function list() {
  const operations = Object.entries(description.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method]).map((method) => [path, method, item[method], item.parameters]));
  byId("operations").replaceChildren(...operations.map((operation) => show(...operation)));
  byId("calls").replaceChildren(...operations.map(([path, method]) =>
    element("li", { translate: false },
      element("a", { href: `#${anchor(method, path)}`, textContent: `${method.toUpperCase()} ${path}` }))));
}

chrome();
try {
  description = await (await fetch("/openapi.json")).json();
  byId("title").textContent = `${description.info.title} ${description.info.version}`;
  byId("about").append(...description.info.description.split("\n\n").map((text) => inEnglish(prose("p", text))));
  list();
  changes.addEventListener("change", list);
} catch (error) {
  console.error(error);
  byId("note").textContent = t("docs.unreadable");
}
