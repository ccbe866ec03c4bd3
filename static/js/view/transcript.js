/** Who said what: the person's words grey while they are guessed and black when final, the switch's as they are spoken. */

import { t } from "../text.js";
import { build, byId, copyFrom, followEnd } from "./dom.js";

const LIMIT = 300;

export class Transcript {
  constructor(session) {
    this.session = session;
    this.window = byId("transcript");
    this.list = this.window.firstElementChild;
    this.copy = byId("transcript-copy");
    this.copy.addEventListener("click", () => copyFrom(this.copy, this.text()));
    this.clear();
    session.addEventListener("state", ({ detail }) => detail.state === "connecting" && this.clear());
    session.addEventListener("sent", ({ detail }) => this.sent(detail));
    session.addEventListener("event", ({ detail }) => this.heard(detail));
  }

  clear() {
    this.list.replaceChildren();
    this.open = new Map();
    this.plays = new Map();
    this.showEmpty();
  }

  sent({ command, text, playId, base64 }) {
    if (command !== "tts" || !text || base64) return;
    const line = this.plays.get(playId);
    // Streamed text comes word by word: it belongs to the line it started.
    if (line) followEnd(this.window, () => line.lastChild.append(text));
    else this.plays.set(playId, this.add("far", "Switch", text));
  }

  heard(event) {
    const { event: name, index, text, playId } = event;
    if (name === "asrDelta") this.delta(index, text);
    if (name === "asrFinal") this.final(index, text);
    if (name === "interruption") this.cut(this.plays.get(playId), event);
    if (name === "addHistory") this.add("far", event.speaker ?? "Switch", text);
    if (name === "dtmf") this.key(event.digit);
  }

  /** Mark what of a text was not heard: by the words the switch says were spoken, or by the share of its length. */
  cut(line, { position, totalDuration, subtitle }) {
    if (!line || line.classList.contains("cut")) return;
    line.classList.add("cut");
    const words = line.lastChild;
    words.dataset.cut = t("interrupted");
    const text = words.textContent;
    let heard = subtitle && text.startsWith(subtitle) ? subtitle.length : 0;
    if (!heard && totalDuration > 0) heard = Math.round((text.length * Math.min(position, totalDuration)) / totalDuration);
    // Only whole words are heard.
    if (heard > 0 && heard < text.length) heard = Math.max(0, text.lastIndexOf(" ", heard));
    words.replaceChildren(text.slice(0, heard), build("s", { title: t("This part was not heard") }, text.slice(heard)));
  }

  /** Keys pressed one after the other stand together. */
  key(digit) {
    const last = this.list.lastElementChild;
    if (last?.className === "key") followEnd(this.window, () => (last.lastChild.textContent += digit));
    else this.add("key", "Keys", digit);
  }

  delta(index, text) {
    if (!text) return;
    const line = this.open.get(index);
    if (line) followEnd(this.window, () => (line.lastChild.textContent = text));
    else this.open.set(index, this.add("near delta", "You", text));
  }

  final(index, text) {
    const line = this.open.get(index);
    this.open.delete(index);
    if (!text) line?.remove();
    else if (line) {
      line.lastChild.textContent = text;
      line.classList.remove("delta");
    } else this.add("near", "You", text);
    this.showEmpty();
  }

  add(kind, who, text) {
    const line = build(
      "li",
      { class: kind },
      build("span", { class: "who" }, t(who)),
      build("span", { class: "words" }, String(text ?? "")),
    );
    followEnd(this.window, () => {
      this.list.append(line);
      if (this.list.children.length > LIMIT) this.list.firstChild.remove();
    });
    this.showEmpty();
    return line;
  }

  showEmpty() {
    const empty = this.list.children.length === 0;
    byId("transcript-empty").hidden = !empty;
    this.window.hidden = empty;
    this.copy.hidden = empty;
  }

  text() {
    return [...this.list.children]
      .map((line) => `${line.firstChild.textContent}: ${line.lastChild.textContent}`)
      .join("\n");
  }
}
