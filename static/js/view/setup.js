/** The form of the next call: transport, greeting, voice, options. It remembers what was chosen. */

import { TRANSPORTS, transportById } from "../call/transports.js";
import { t } from "../text.js";
import { build, byId } from "./dom.js";
import { Options } from "./options.js";

const SLOT = "softswitch.setup";

export class Setup {
  /**
   * @param {import("../call/session.js").Session} session
   * @param {import("./voices.js").Voices} voices
   */
  constructor(session, voices) {
    this.session = session;
    this.form = byId("setup");
    this.paintTransports();
    // On a phone the keypad and the transcript matter more than the choice of devices.
    byId("devices").open = !matchMedia("(max-width: 760px)").matches;
    this.restore();
    this.paintCodecs();
    this.more = new Options(
      () => this.base,
      (option) => this.take(option),
    );
    voices.attach(this.form, () => this.voice, t("default"));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("change", ({ target }) => this.changed(target));
    session.addEventListener("state", () => this.lock());
    this.lock();
  }

  paintTransports() {
    byId("transports").append(
      ...TRANSPORTS.map(({ id, label, hint }, index) =>
        build(
          "label",
          { title: t(hint) },
          build("input", { type: "radio", name: "transport", value: id, checked: index === 0 }),
          build("span", {}, t(label)),
        ),
      ),
    );
  }

  paintCodecs() {
    const { codecs } = transportById(this.form.elements.transport.value);
    byId("codec").replaceChildren(...codecs.map(({ value, label }) => build("option", { value }, t(label))));
  }

  changed(target) {
    if (target.name === "provider") delete target.dataset.wanted;
    if (target.name === "transport") this.paintCodecs();
    if (target.name === "record") this.lock();
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
      // The list of providers comes later than the choice.
      else if (name === "provider") element.dataset.wanted = value;
      else if (name !== "transport" || TRANSPORTS.some(({ id }) => id === value)) element.value = value;
    }
  }

  /** The transport and the options cannot change under a running call; devices can. */
  lock() {
    const { active } = this.session;
    this.form.elements.transcribe.disabled = !this.on("record");
    for (const element of this.form.querySelectorAll("[name=transport], [name=codec], [name=caller], [name=callee]")) {
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
    const { provider } = this.form.elements;
    return { provider: provider.value || provider.dataset.wanted || "", speaker: this.text("speaker") };
  }

  get microphoneOptions() {
    return { deviceId: this.text("microphone"), echo: this.on("echo"), noise: this.on("noise"), gain: this.on("gain") };
  }

  /** What this form says of the option, and which objects of the others it switches on. */
  get base() {
    const { provider, speaker } = this.voice;
    const base = {
      caller: this.text("caller"),
      callee: this.text("callee"),
      tts: { provider: provider || "builtin", ...(speaker && { speaker }) },
      denoise: this.on("denoise"),
      ...(this.on("record") && this.on("transcribe") && { recorder: { transcribe: true } }),
    };
    return { base, on: { asr: this.on("asr"), bargeIn: this.on("bargeIn"), recorder: this.on("record") } };
  }

  /** Fill this form from an option that was written as JSON. */
  take({ caller = "", callee = "", tts = {}, denoise = false, asr, bargeIn, recorder }) {
    const { elements } = this.form;
    Object.assign(elements.caller, { value: caller });
    Object.assign(elements.callee, { value: callee });
    elements.denoise.checked = denoise === true;
    elements.asr.checked = Boolean(asr);
    elements.bargeIn.checked = Boolean(bargeIn) && bargeIn.mode !== "off";
    elements.record.checked = Boolean(recorder);
    elements.transcribe.checked = recorder?.transcribe === true;
    elements.provider.value = tts.provider ?? "";
    elements.speaker.value = tts.speaker ?? "";
    this.save();
  }

  /** Everything Session.call asks for. */
  get options() {
    return {
      transport: this.form.elements.transport.value,
      codec: this.form.elements.codec.value,
      greeting: this.text("greeting"),
      voice: this.voice,
      microphone: this.microphoneOptions,
      option: this.more.option,
    };
  }
}
