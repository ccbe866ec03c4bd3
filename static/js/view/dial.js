/** The form that rings a telephone, with this browser or the switch as the one who talks. */

import { t } from "../text.js";
import { byId } from "./dom.js";

const WAITING = "A trunk, or a phone that is registered here, is rung.";

export class Dial {
  /**
   * @param {import("../call/session.js").Session} session
   * @param {() => object} readOptions what the call form asks for: voice, microphone, recording.
   */
  constructor(session, readOptions) {
    this.session = session;
    this.readOptions = readOptions;
    this.form = byId("dial");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.dial();
    });
    byId("dial-hangup").addEventListener("click", () => session.hangup());
    session.addEventListener("state", ({ detail }) => this.show(detail));
    session.addEventListener("event", ({ detail }) => this.heard(detail));
  }

  dial() {
    const number = this.form.elements.number.value.trim();
    const caller = this.form.elements.caller.value.trim();
    const options = this.readOptions();
    this.number = number;
    if (this.form.elements.talker.value === "switch") {
      const option = { ...options.option, caller, callee: number };
      this.session.call({ ...options, transport: "sip", codec: "", option });
    } else {
      // Two people talk: the switch neither greets them nor stops for them.
      const { asr, recorder } = options.option;
      const option = { caller: caller || options.option.caller, callee: "telephone", ...(asr && { asr }), ...(recorder && { recorder }) };
      this.session.call({ ...options, transport: "webrtc", codec: "", greeting: "", option, dial: { number, caller } });
    }
  }

  heard({ event, trackId, code, reason, refer }) {
    if (!this.number) return;
    if (event === "ringing") this.say("{number} is ringing");
    if (event === "reject") this.say("{number} refused: {reason} ({code})", { reason: t(reason || "no reason"), code });
    if (event === "answer" && (refer || this.session.options?.transport === "sip")) this.say("{number} has answered");
    if (event === "hold" && trackId) this.say("The line is on hold");
  }

  show({ state, detail }) {
    const { active } = this.session;
    byId("dial-call").hidden = active;
    byId("dial-hangup").hidden = !active;
    // Calls of other views are no business of this form.
    if (!this.number) return;
    if (state === "connecting" || state === "reconnecting") this.say(detail);
    if (active) return;
    this.say(detail || WAITING);
    this.number = "";
  }

  say(words, values = {}) {
    byId("dial-line").textContent = t(words, { number: this.number, ...values });
  }
}
