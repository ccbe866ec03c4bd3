/** The dialog for the API key. */

import { rememberKey, server } from "../server.js";
import { byId } from "./dom.js";

/** @param {() => void} changed told after the key was changed. */
export function wireAccess(changed) {
  const dialog = byId("key-dialog");
  const paint = () => byId("key-open").toggleAttribute("data-set", Boolean(server.token));
  byId("key-open").addEventListener("click", () => {
    byId("key").value = server.token;
    dialog.returnValue = "";
    dialog.showModal();
  });
  byId("key-cancel").addEventListener("click", () => dialog.close("cancel"));
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "keep") return;
    rememberKey(byId("key").value);
    paint();
    changed();
  });
  paint();
}
