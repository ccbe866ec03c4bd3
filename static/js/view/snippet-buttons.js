/** Three buttons that copy what was just done as code. */

import { LANGUAGES } from "../snippets.js";
import { t } from "../text.js";
import { build, copyFrom } from "./dom.js";

/** @param {(kind: string) => string} make writes the code at the time of the press. */
export function snippetButtons(make, label = "Copy as") {
  return build(
    "span",
    { class: "snippets", role: "group", "aria-label": t(label) },
    build("span", { class: "fine", "aria-hidden": "true" }, t(label)),
    ...LANGUAGES.map(({ id, label: name }) =>
      build(
        "button",
        { type: "button", class: "quiet", translate: "no", data: { kind: id }, on: { click: ({ currentTarget }) => copyFrom(currentTarget, make(id)) } },
        name,
      ),
    ),
  );
}
