/** Make the switch speak or play: one utterance, or word by word as a language model would deliver it. */

import { t } from "../text.js";
import { byId } from "./dom.js";

/** The pace of a fast language model, ms per word. */
const WORD_MS = 90;

export class Speak {
  constructor(session, setup, voices) {
    this.session = session;
    this.setup = setup;
    this.form = byId("speak");
    voices.attach(this.form, () => this.voice, t("as in the call"));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.say();
    });
    byId("speak-text").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.say();
      }
    });
    byId("play").addEventListener("click", () => this.play());
    session.addEventListener("state", ({ detail }) => this.allow(detail.state === "connected"));
  }

  allow(connected) {
    byId("say").disabled = byId("play").disabled = !connected;
    if (!connected) clearInterval(this.feeding);
  }

  get voice() {
    const own = (name) => this.form.elements[name].value.trim();
    const call = this.setup.voice;
    return { provider: own("provider") || call.provider, speaker: own("speaker") || call.speaker };
  }

  say() {
    const text = byId("speak-text").value.trim();
    if (!text || byId("say").disabled) return;
    if (this.form.elements.streaming.checked) this.stream(text);
    else this.session.say(text, this.voice);
  }

  /** Deliver word by word under one playId, then close it with an empty text. */
  stream(text) {
    clearInterval(this.feeding);
    const words = text.match(/\S+\s*/g);
    const options = { ...this.voice, streaming: true };
    options.playId = this.session.say(words.shift(), options);
    this.feeding = setInterval(() => {
      const word = words.shift();
      this.session.say(word ?? "", { ...options, endOfStream: word === undefined });
      if (word === undefined) clearInterval(this.feeding);
    }, WORD_MS);
  }

  play() {
    const field = byId("play-url");
    field.required = true;
    if (field.reportValidity()) this.session.play(field.value.trim());
    field.required = false;
  }
}
