/** The first visit: a microphone check, one big button, what to say, and three samples. */

import { GREETING, receive } from "../call/receptionist.js";
import { t } from "../text.js";
import { byId } from "./dom.js";

const SLOT = "softswitch.welcomed";
const FLOOR_DB = -60;
/** A level at which a voice surely is one. */
const HEARD_DB = -45;

export class Welcome {
  /**
   * @param {import("../call/session.js").Session} session
   * @param {() => object} readOptions what the call form asks for.
   * @param {(view: string) => void} showView
   */
  constructor(session, readOptions, showView) {
    Object.assign(this, { session, readOptions, showView });
    byId("welcome-check").addEventListener("click", () => (this.stream ? this.stop() : this.check()));
    byId("welcome-call").addEventListener("click", () => this.call());
    byId("welcome-close").addEventListener("click", () => this.close());
    byId("welcome-open").addEventListener("click", () => this.open());
    byId("sample-reception").addEventListener("click", () => this.reception());
    byId("sample-phone").addEventListener("click", () => {
      showView("view-phones");
      byId("dial").elements.number.focus();
    });
    byId("sample-room").addEventListener("click", () => {
      showView("view-rooms");
      byId("room-new").requestSubmit();
    });
    session.addEventListener("state", () => this.paint());
    this.shown = !localStorage.getItem(SLOT);
    this.paint();
  }

  paint() {
    const { active } = this.session;
    if (active) this.stop();
    byId("welcome").hidden = !this.shown;
    byId("welcome-open").hidden = this.shown;
    for (const id of ["welcome-call", "welcome-check", "sample-reception"]) byId(id).disabled = active || byId("call").disabled;
  }

  open() {
    this.shown = true;
    this.showView("view-talk");
    this.paint();
    byId("welcome-call").focus();
  }

  close() {
    localStorage.setItem(SLOT, "1");
    this.shown = false;
    this.stop();
    this.paint();
    byId("call").focus();
  }

  call() {
    byId("call").click();
    byId("stage").scrollIntoView({ block: "nearest" });
  }

  async reception() {
    const options = this.readOptions();
    receive(this.session);
    byId("stage").scrollIntoView({ block: "nearest" });
    await this.session.call({
      ...options,
      greeting: GREETING,
      option: { ...options.option, callee: "reception", asr: options.option.asr ?? { provider: "builtin" } },
    });
  }

  async check() {
    this.say("Speak: the bar must move.");
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch (error) {
      this.say(error.name === "NotFoundError" ? "No microphone was found." : "The browser was not allowed to use the microphone. Allow it in the address bar.");
      return;
    }
    byId("welcome-check").querySelector("span").textContent = t("Stop the check");
    this.context = new AudioContext();
    const meter = new AnalyserNode(this.context, { fftSize: 1024 });
    new MediaStreamAudioSourceNode(this.context, { mediaStream: this.stream }).connect(meter);
    const samples = new Float32Array(meter.fftSize);
    this.timer = setInterval(() => {
      meter.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      const level = Math.max(FLOOR_DB, 10 * Math.log10(power + 1e-12));
      byId("welcome-level").value = level;
      if (level > HEARD_DB) this.say("Your microphone works.");
    }, 80);
  }

  stop() {
    if (!this.stream) return;
    clearInterval(this.timer);
    this.stream.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.context?.close();
    byId("welcome-level").value = FLOOR_DB;
    byId("welcome-check").querySelector("span").textContent = t("Check the microphone");
  }

  say(words) {
    byId("welcome-words").textContent = t(words);
  }
}
