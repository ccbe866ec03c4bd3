/** The form of the next call: way, greeting, voice, options. It remembers what was chosen. */

import { WAYS, wayById } from "../call/ways.js";
import { build, byId } from "./dom.js";

const SLOT = "softswitch.setup";
/** Voices of the built-in synthesisers; any other name may be typed. */
const VOICES = ["slt", "awb", "rms", "kal", "en-us", "en-gb", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "cmn"];

export class Setup {
  constructor(session) {
    this.session = session;
    this.form = byId("setup");
    this.paintWays();
    // On a phone the keypad and the transcript matter more than the choice of devices.
    byId("devices").open = !matchMedia("(max-width: 760px)").matches;
    byId("speakers").append(...VOICES.map((value) => build("option", { value })));
    this.restore();
    this.paintCodecs();
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", ({ target }) => this.changed(target));
    session.addEventListener("state", () => this.lock());
  }

  paintWays() {
    byId("ways").append(
      ...WAYS.map(({ id, label, hint }, index) =>
        build(
          "label",
          { title: hint },
          build("input", { type: "radio", name: "way", value: id, checked: index === 0 }),
          build("span", {}, label),
        ),
      ),
    );
  }

  paintCodecs() {
    const { codecs } = wayById(this.form.elements.way.value);
    byId("codec").replaceChildren(...codecs.map(({ value, label }) => build("option", { value }, label)));
  }

  changed(target) {
    if (target.name === "way") this.paintCodecs();
    this.save();
  }

  save() {
    const chosen = {};
    for (const element of this.form.elements) {
      if (!element.name || element.name === "codec") continue;
      if (element.type === "checkbox") chosen[element.name] = element.checked;
      else if (element.type !== "radio" || element.checked) chosen[element.name] = element.value;
    }
    localStorage.setItem(SLOT, JSON.stringify(chosen));
  }

  restore() {
    let chosen;
    try {
      chosen = JSON.parse(localStorage.getItem(SLOT)) ?? {};
    } catch {
      chosen = {};
    }
    for (const [name, value] of Object.entries(chosen)) {
      const element = this.form.elements[name];
      if (!element) continue;
      if (element.type === "checkbox") element.checked = value === true;
      else if (name !== "way" || WAYS.some(({ id }) => id === value)) element.value = value;
    }
  }

  /** The way and the options cannot change under a running call; devices can. */
  lock() {
    const { active } = this.session;
    for (const element of this.form.querySelectorAll("[name=way], [name=codec], [name=caller], [name=callee]")) {
      element.disabled = active;
    }
  }

  get text() {
    return (name) => this.form.elements[name].value.trim();
  }

  get on() {
    return (name) => this.form.elements[name].checked;
  }

  get voice() {
    return { provider: this.text("provider"), speaker: this.text("speaker") };
  }

  get soundWish() {
    return { deviceId: this.text("microphone"), echo: this.on("echo"), noise: this.on("noise"), gain: this.on("gain") };
  }

  /** Everything Session.call asks for. */
  get wish() {
    const { provider, speaker } = this.voice;
    const option = {
      caller: this.text("caller"),
      callee: this.text("callee"),
      tts: { provider: provider || "builtin", ...(speaker && { speaker }) },
      vad: { type: "silero" },
      denoise: this.on("denoise"),
    };
    if (this.on("asr")) option.asr = { provider: "builtin" };
    if (this.on("bargeIn")) option.bargeIn = { mode: "server" };
    if (this.on("record")) option.recorder = { samplerate: 16000, format: "wav" };
    return {
      way: this.form.elements.way.value,
      codec: this.form.elements.codec.value,
      greeting: this.text("greeting"),
      voice: this.voice,
      sound: this.soundWish,
      option,
    };
  }
}
