/** The page's words in the language of the browser. English is written where it is used; `texts.js` has the others. */

import { TEXTS } from "./texts.js";

const COLUMNS = { de: 0, zh: 1 };
/** Attributes that people read or hear. */
const SPOKEN = ["aria-label", "title", "placeholder", "label"];

/** The first language of the browser that the page has. */
export const language =
  navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag === "en" || tag in COLUMNS) ?? "en";

/**
 * A text in the language of the browser. One that is not in the table stays as it is: words of the switch, say.
 * @param {string} english
 * @param {Record<string, unknown>} [values] what stands in for `{name}`.
 */
export function t(english, values = {}) {
  const text = TEXTS[english]?.[COLUMNS[language]] ?? english;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Translate what the page was served with: its texts and the attributes that people read. */
export function translate(root = document.documentElement) {
  if (language === "en") return;
  document.documentElement.lang = language;
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const english = node.data.trim().replace(/\s+/g, " ");
    if (!english || node.parentElement.closest("script, style, code, pre, [translate=no]")) continue;
    // Spaces at the ends separate the text from its neighbours, and stay.
    node.data = `${node.data.match(/^\s*/)[0]}${t(english)}${node.data.match(/\s*$/)[0]}`;
  }
  for (const element of root.querySelectorAll(SPOKEN.map((name) => `[${name}]`).join(", "))) {
    for (const name of SPOKEN) {
      if (element.hasAttribute(name) && !element.closest("[translate=no]")) element.setAttribute(name, t(element.getAttribute(name)));
    }
  }
}
