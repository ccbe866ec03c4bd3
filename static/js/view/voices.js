/** The boxes for provider and voice, filled with what the switch has, and the button that lets one hear it. */

import { listSpeech, playSamples, speakSample } from "../call/speech.js";
import { language, t } from "../text.js";
import { build } from "./dom.js";
import { showNotice } from "./notice.js";

/** What a voice says of itself, by the language it is named after. */
const SENTENCES = {
  de: "Guten Tag, so klinge ich am Telefon.",
  fr: "Bonjour, voici ma voix au téléphone.",
  es: "Hola, así suena mi voz por teléfono.",
  it: "Buongiorno, questa è la mia voce al telefono.",
  cmn: "您好，这就是我在电话里的声音。",
  zh: "您好，这就是我在电话里的声音。",
};
const SENTENCE = "Hello, this is how I sound on the telephone.";

const names = new Intl.DisplayNames([language, "en"], { type: "language", fallback: "none" });

function languageName(tag) {
  try {
    return names.of(tag) ?? "";
  } catch {
    // Some voices of espeak-ng have names that only look like tags.
    return "";
  }
}

export class Voices {
  constructor(server) {
    this.server = server;
    this.boxes = [];
    this.speech = null;
  }

  /** Ask the switch again: after a start, a new key, or a new provider. */
  async load() {
    this.speech = await listSpeech(this.server);
    for (const box of this.boxes) this.fill(box);
    document.dispatchEvent(new CustomEvent("speech", { detail: this.speech }));
  }

  /**
   * Look after the fields `provider` and `speaker` of a form; its `data-listen` button plays the voice.
   * @param {HTMLFormElement} form
   * @param {() => {provider: string, speaker: string}} chosen the voice that would speak.
   * @param {string} none what an empty choice means.
   */
  attach(form, chosen, none) {
    const { provider, speaker } = form.elements;
    const list = build("datalist", { id: `${form.id}-voices` });
    form.append(list);
    speaker.setAttribute("list", list.id);
    const box = { provider, list, none, wanted: provider.value };
    this.boxes.push(box);
    provider.addEventListener("change", () => this.fill(box));
    const button = form.querySelector("[data-listen]");
    button.addEventListener("click", () => this.listen(button, chosen()));
  }

  fill({ provider, list, none }) {
    const { tts, defaults } = this.speech;
    const wanted = provider.dataset.wanted ?? provider.value;
    provider.replaceChildren(
      build("option", { value: "" }, none),
      ...tts.map(({ name, hosted }) => build("option", { value: name }, hosted ? `${name} ☁` : name)),
    );
    provider.value = tts.some(({ name }) => name === wanted) ? wanted : "";
    const spoken = tts.find(({ name }) => name === (provider.value || defaults.tts)) ?? tts[0];
    list.replaceChildren(
      ...(spoken?.voices ?? []).map((value) => build("option", { value, label: languageName(value) || null })),
    );
  }

  async listen(button, { provider, speaker }) {
    button.disabled = true;
    const text = SENTENCES[speaker.split("-")[0]] ?? SENTENCE;
    try {
      await playSamples(
        await speakSample(this.server, text, { provider: provider || this.speech?.defaults.tts || "builtin", ...(speaker && { speaker }) }),
      );
    } catch (error) {
      showNotice(t(error.message));
    }
    button.disabled = false;
  }
}
