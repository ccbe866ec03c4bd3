/** The page that documents the element: shows what it tells. */

import "./softswitch-call.js";
import { build, byId, followEnd } from "./view/dom.js";

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
for (const place of document.querySelectorAll("[data-address]")) place.textContent = address.href;
