/** The form that rings a telephone, with this browser or the switch as the one who talks. */

import { byId } from "./dom.js";

const WAITING = "A trunk, or a phone that is registered here, is rung.";

export class Dial {
  /**
   * @param {import("../call/session.js").Session} session
   * @param {() => object} readWish what the call form asks for: voice, microphone, recording.
   */
  constructor(session, readWish) {
    this.session = session;
    this.readWish = readWish;
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
    const wish = this.readWish();
    this.number = number;
    if (this.form.elements.talker.value === "switch") {
      const option = { ...wish.option, caller, callee: number };
      this.session.call({ ...wish, way: "sip", codec: "", option });
    } else {
      // Two people talk: the switch neither greets them nor stops for them.
      const { asr, recorder } = wish.option;
      const option = { caller: caller || wish.option.caller, callee: "telephone", ...(asr && { asr }), ...(recorder && { recorder }) };
      this.session.call({ ...wish, way: "webrtc", codec: "", greeting: "", option, dial: { number, caller } });
    }
  }

  heard({ event, trackId, code, reason, refer }) {
    if (!this.number) return;
    if (event === "ringing") this.say(`${this.number} is ringing`);
    if (event === "reject") this.say(`${this.number} refused: ${reason || "no reason"} (${code})`);
    if (event === "answer" && (refer || this.session.wish?.way === "sip")) this.say(`${this.number} has answered`);
    if (event === "hold" && trackId) this.say("The line is on hold");
  }

  show({ state, detail }) {
    const { active } = this.session;
    byId("dial-call").hidden = active;
    byId("dial-hangup").hidden = !active;
    if (state === "connecting") this.say(detail);
    if (!active && this.number) {
      this.say(detail || WAITING);
      this.number = "";
    }
  }

  say(words) {
    byId("dial-line").textContent = words;
  }
}
