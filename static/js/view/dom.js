/** The few things this page asks of the document: find, build, wire. */

import { t } from "../text.js";

export const byId = (id) => {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element;
};

/**
 * Build an element. `on` holds listeners, `data` the dataset; every other entry is an attribute, and
 * `false`, `null` and `undefined` leave one out. Strings become text, never markup.
 */
export function build(tag, { on = {}, data = {}, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(name, value === true ? "" : value);
  }
  Object.assign(element.dataset, data);
  for (const [type, listener] of Object.entries(on)) element.addEventListener(type, listener);
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
const SPRITE = new URL("../../icons.svg", import.meta.url);

/** An icon of the sprite; decoration, so hidden from assistive technology. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${SPRITE.pathname}#${name}`);
  svg.append(use);
  return svg;
}

/** Let the element show its last line, unless the person has scrolled up to read. */
export function followEnd(element, change) {
  const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < 40;
  change();
  if (atEnd) element.scrollTop = element.scrollHeight;
}

/** Copy text and say so, for a moment, on the button that asked for it. */
export async function copyFrom(button, text) {
  const label = (button.dataset.label ??= button.textContent);
  const copied = await navigator.clipboard.writeText(text).then(
    () => true,
    () => false,
  );
  button.textContent = t(copied ? "Copied" : "Not allowed");
  setTimeout(() => (button.textContent = label), 1200);
}

/** Whether a key press belongs to a field or a shortcut of the browser, not to the call. */
export function isTyping({ target, ctrlKey, metaKey, altKey }) {
  if (ctrlKey || metaKey || altKey) return true;
  return target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, dialog") !== null;
}
