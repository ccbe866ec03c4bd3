/** The page that documents the element: shows what it tells. */

import { translate } from "./text.js";
import "./softswitch-call.js";
import { build, byId, copyFrom, followEnd } from "./view/dom.js";

translate();

const list = byId("told");

function tell(type, detail) {
  byId("told-empty").hidden = true;
  followEnd(list, () => {
    list.append(build("li", {}, build("b", {}, type), " ", build("code", {}, JSON.stringify(detail))));
    if (list.children.length > 200) list.firstChild.remove();
  });
}

for (const type of ["softswitch-state", "softswitch-event"]) {
  document.addEventListener(type, ({ detail }) => tell(type, detail));
}

const address = new URL("../", document.baseURI);
const live = byId("live");
const form = byId("yours");
const ATTRIBUTES = ["label", "transport", "callee", "greeting"];

/** Give the live element what the form says, and write down the HTML that does the same. */
function apply() {
  const chosen = ATTRIBUTES.map((name) => [name, form.elements[name].value.trim()]).filter(([, value]) => value);
  for (const name of ATTRIBUTES) live.removeAttribute(name);
  for (const [name, value] of chosen) live.setAttribute(name, value);
  live.toggleAttribute("captions", form.elements.captions.checked);
  live.style.setProperty("--softswitch-accent", form.elements.accent.value);
  const quoted = chosen.map(([name, value]) => ` ${name}="${value.replaceAll("&", "&amp;").replaceAll('"', "&quot;")}"`).join("");
  const captions = form.elements.captions.checked ? " captions" : "";
  byId("markup").textContent = `<script type="module" src="${address.href}static/js/softswitch-call.js"></script>
<style>softswitch-call { --softswitch-accent: ${form.elements.accent.value} }</style>
<softswitch-call${quoted}${captions}></softswitch-call>`;
}
form.addEventListener("input", apply);
form.addEventListener("submit", (event) => event.preventDefault());
byId("markup-copy").addEventListener("click", ({ currentTarget }) => copyFrom(currentTarget, byId("markup").textContent));
apply();
