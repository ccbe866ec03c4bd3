/** Fields of an entry as a form, and what the form says as the body of a request. */

import { t } from "../text.js";
import { build } from "../view/dom.js";

const SECRET_BYTES = 15;

/** The inputs of a kind, filled with an entry; rare ones are folded away. */
export function formFields(kind, entry) {
  const shown = (rare) => kind.fields.filter((field) => Boolean(field.rare) === rare).map((field) => row(field, entry));
  const rare = shown(true);
  return [
    build("div", { class: "fields" }, ...shown(false)),
    rare.length ? build("details", {}, build("summary", {}, t("More")), build("div", { class: "fields" }, ...rare)) : null,
  ].filter(Boolean);
}

function row(field, entry) {
  const { label, type, hint, name, make } = field;
  const input = inputOf(field, entry);
  const note = hint ? build("small", { class: "fine" }, t(hint)) : null;
  if (type === "check") return build("label", { class: "check" }, input, t(label));
  if (type === "several") return build("fieldset", { class: "checks" }, build("legend", {}, t(label)), ...input, note);
  const kept = type === "secret" && entry?.secrets?.includes(name);
  if (kept) input.placeholder = t("kept as it is");
  if (!make) return build("label", { class: "field" }, build("span", {}, t(label)), input, note);
  const invent = () => {
    input.type = "text";
    input.value = randomSecret();
    input.select();
  };
  return build(
    "div",
    { class: "field" },
    build("span", { id: `label-${name}` }, t(label)),
    build("div", { class: "with-button" }, input, build("button", { type: "button", on: { click: invent } }, t("Make one up"))),
    note,
  );
}

function randomSecret() {
  const bytes = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

function inputOf(field, entry) {
  const { name, type, choices = [], required = false, min, list, label, make } = field;
  const value = entry?.[name] ?? field.fallback ?? "";
  // A name is the address of an entry: it stays.
  const common = { name, required, readonly: name === "name" && Boolean(entry), "aria-labelledby": make ? `label-${name}` : null };
  if (type === "check") return build("input", { type: "checkbox", name, checked: value === true });
  if (type === "several") {
    return choices.map((each) =>
      build("label", {}, build("input", { type: "checkbox", name, value: each, checked: value.includes(each) }), each),
    );
  }
  if (type === "choice") {
    const select = build("select", { name, required }, ...choices.map((each) => build("option", { value: each, selected: each === value }, each)));
    return select;
  }
  if (type === "list" || type === "pairs") {
    const area = build("textarea", { ...common, rows: 2, spellcheck: "false" });
    area.value = (value || []).map((each) => (type === "pairs" ? each.join(" ") : each)).join("\n");
    return area;
  }
  if (type === "number") return build("input", { ...common, type: "number", min, step: 1, value: String(value) });
  if (type === "time") return build("input", { ...common, type: "datetime-local", value: localTime(value) });
  if (type === "secret")
    return build("input", { ...common, type: "password", autocomplete: "new-password", spellcheck: "false", required: Boolean(field.needed) && !entry });
  return build("input", { ...common, value: String(value), list: list ? `admin-${list}` : null, spellcheck: "false", title: t(label) });
}

function localTime(iso) {
  const date = new Date(iso || NaN);
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/**
 * The body of a request: for a new entry what differs from what the switch takes anyway, else what has changed.
 * An emptied field becomes null, which sets it back.
 */
export function bodyOf(kind, form, entry) {
  const body = {};
  for (const field of kind.fields) {
    const value = valueOf(field, form);
    if (field.type === "secret") {
      if (value) body[field.name] = value;
      continue;
    }
    const before = entry?.[field.name] ?? field.fallback ?? empty(field);
    if (JSON.stringify(value) === JSON.stringify(before) && !(field.required && !entry)) continue;
    body[field.name] = entry && isEmpty(value) ? null : value;
  }
  return body;
}

const empty = ({ type }) => (type === "list" || type === "pairs" ? [] : "");
const isEmpty = (value) => value === "" || (Array.isArray(value) && !value.length);

function valueOf({ name, type, fallback }, form) {
  const element = form.elements[name];
  if (type === "check") return element.checked;
  if (type === "several") return [...element].filter((each) => each.checked).map((each) => each.value);
  if (type === "number") return element.value === "" ? (fallback ?? null) : Number(element.value);
  if (type === "time") return element.value ? new Date(element.value).toISOString() : "";
  if (type === "list" || type === "pairs") {
    const lines = element.value.split("\n").map((line) => line.trim()).filter(Boolean);
    return type === "list" ? lines : lines.map((line) => [line.split(/\s+/)[0], line.split(/\s+/).slice(1).join(" ")]);
  }
  return element.value.trim();
}

/** The body as it may be shown and copied: without what is secret. */
export function maskBody(kind, body) {
  const secret = new Set(kind.fields.filter(({ type }) => type === "secret").map(({ name }) => name));
  return Object.fromEntries(Object.entries(body).map(([name, value]) => [name, secret.has(name) ? "…" : value]));
}
