/** After a reload in the middle of a call: the offer to come back to it, as long as the switch keeps it. */

import { t } from "../text.js";
import { RESUME_S } from "../call/session.js";
import { build } from "./dom.js";
import { showNotice } from "./notice.js";

const SLOT = "softswitch.call";

/**
 * Keep the running call when the page is left, and offer it when the page is there again.
 * @param {import("../call/session.js").Session} session
 */
export function wireComeBack(session) {
  // Written only on leaving: a tab that is duplicated must not find the call of the other one.
  addEventListener("pagehide", () => {
    const kept = session.kept;
    if (kept) sessionStorage.setItem(SLOT, JSON.stringify({ ...kept, leftAt: Date.now() }));
  });
  const kept = take();
  if (kept) offer(session, kept);
}

/** Return the call that was left behind, once; null without one. */
function take() {
  const text = sessionStorage.getItem(SLOT);
  sessionStorage.removeItem(SLOT);
  try {
    const kept = JSON.parse(text);
    return kept && Date.now() - kept.leftAt < RESUME_S * 1000 ? kept : null;
  } catch {
    return null;
  }
}

function offer(session, kept) {
  const done = () => {
    clearTimeout(timer);
    session.removeEventListener("state", done);
    showNotice();
  };
  const back = () => {
    done();
    session.comeBack(kept);
  };
  const timer = setTimeout(done, RESUME_S * 1000 - (Date.now() - kept.leftAt));
  session.addEventListener("state", done);
  showNotice(
    t("This page was loaded again in the middle of a call."),
    " ",
    build("button", { type: "button", id: "come-back", class: "primary", on: { click: back } }, t("Come back to the call")),
    " ",
    build("button", { type: "button", class: "quiet", on: { click: done } }, t("Let it end")),
  );
}
