/** The dialog that brings another party into the call. */

import { byId } from "./dom.js";

/** @param {import("../call/session.js").Session} session */
export function wireTransfer(session) {
  const dialog = byId("transfer-dialog");
  byId("transfer").addEventListener("click", () => {
    byId("transfer-callee").value = "";
    dialog.showModal();
  });
  byId("transfer-cancel").addEventListener("click", () => dialog.close());
  byId("transfer-form").addEventListener("submit", () => {
    const callee = byId("transfer-callee").value.trim();
    if (callee) session.send({ command: "refer", callee, options: { timeout: 45 } });
  });
}
