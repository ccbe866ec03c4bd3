/** One line above everything for what a person must know before anything else works. Its texts are translated here. */

import { t } from "../text.js";
import { microphoneAllowed } from "../call/sound.js";
import { build, byId } from "./dom.js";

export function showNotice(...content) {
  const notice = byId("notice");
  notice.replaceChildren(...content.map((part) => (typeof part === "string" ? t(part) : part)));
  notice.hidden = content.length === 0;
}

/** Tell why calling cannot work here, if so. Returns whether it can. */
export function checkContext() {
  if (microphoneAllowed()) return true;
  const local = new URL(location.href);
  local.hostname = "localhost";
  showNotice(
    build("strong", {}, t("The microphone is not available on this address.")),
    " ",
    t("Browsers allow it on HTTPS and on localhost only. On the machine of the switch open:"),
    " ",
    build("a", { href: local.href }, local.origin),
    " ",
    t("From elsewhere put the TLS front of deploy/ before it."),
  );
  return false;
}
