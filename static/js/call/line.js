/** A telephone's call that waits at the switch, answered for the person at this page and joined with the page's own. */

import { Signal } from "./signal.js";

/**
 * Accept the pending call `id` and join `session` with it; either end takes the other with it.
 * @param {import("./session.js").Session} session a call that is up.
 * @param {string} id
 */
export function answerFor(session, id) {
  const line = new Signal(session.server, "call/sip", { id });
  const part = () => {
    session.removeEventListener("state", watch);
    line.close();
  };
  const watch = () => {
    if (session.active) return;
    line.send({ command: "hangup" });
    part();
  };
  session.addEventListener("state", watch);
  line.addEventListener("event", ({ detail: { event } }) => {
    if (event === "incoming") line.send({ command: "accept", option: { vad: { type: "off" } } });
    if (event === "answer") session.send({ command: "bridge", targetSessionId: id });
    if (event === "reject" || event === "hangup") session.hangup();
  });
  line.addEventListener("close", () => {
    part();
    session.hangup();
  });
  // A refusal of the socket comes as `close`, too.
  line.open().catch(() => part());
}
