/** The heart of the page: the state of the call, its clock, and the buttons that act on it. */

import { byId, isTyping } from "./dom.js";
import { clock } from "./format.js";

const PILLS = {
  disconnected: "Disconnected",
  connecting: "Connecting",
  connected: "Connected",
  reconnecting: "Reconnecting",
  failed: "Failed",
};

const TITLES = {
  disconnected: "Ready to call",
  connecting: "Calling…",
  connected: "You are talking",
  reconnecting: "One moment…",
  failed: "That did not work",
};

const LINES = {
  disconnected: "Press Call. The switch answers, greets you and listens.",
  connected: "Speak freely. Interrupt whenever you like.",
};

export class Stage {
  /**
   * @param {import("../call/session.js").Session} session
   * @param {() => object} readWish what the form asks for.
   */
  constructor(session, readWish) {
    this.session = session;
    byId("call").addEventListener("click", () => session.call(readWish()));
    byId("hangup").addEventListener("click", () => session.hangup());
    byId("mute").addEventListener("click", () => this.toggleMute());
    byId("hold").addEventListener("click", () => session.hold(!session.held));
    byId("pause").addEventListener("click", () => session.togglePause());
    byId("interrupt").addEventListener("click", () => session.interrupt());
    document.addEventListener("keydown", (event) => this.key(event));
    session.addEventListener("state", ({ detail }) => this.show(detail));
    session.addEventListener("event", ({ detail }) => detail.event === "hold" && this.paintHold());
    session.addEventListener("playing", ({ detail }) => this.paintPlaying(detail));
  }

  show({ state, detail }) {
    const { active } = this.session;
    const pill = byId("connection");
    pill.dataset.state = byId("stage").dataset.state = state;
    pill.textContent = PILLS[state];
    this.paintWords(state, detail);
    const focused = document.activeElement;
    byId("call").hidden = active;
    byId("hangup").hidden = !active;
    byId("in-call").hidden = state !== "connected" && state !== "reconnecting";
    byId("hold").hidden = !this.session.way?.canHold;
    // A hidden button loses the focus to nowhere: hand it to the one that took its place.
    if (focused === byId("call") && active) byId("hangup").focus();
    else if (!active && byId("stage").contains(focused)) byId("call").focus();
    if (!active) this.stopClock();
    else if (state === "connected") this.startClock();
    else if (state === "connecting") this.reset();
  }

  paintWords(state, detail) {
    const held = state === "connected" && this.session.held;
    byId("stage-title").textContent = held ? "On hold" : TITLES[state];
    byId("stage-line").textContent = held ? "Neither side hears the other." : this.line(state, detail);
  }

  line(state, detail) {
    if (state === "connected" && this.session.sound.silent) return "No microphone was found: you are sending silence.";
    return detail || LINES[state] || "";
  }

  reset() {
    byId("clock").textContent = "00:00";
    this.session.mute(false);
    this.paintMute();
    this.paintHold();
    this.paintPlaying(this.session.playing);
  }

  /** Only what sounds can be held or interrupted. */
  paintPlaying({ active, paused }) {
    const button = byId("pause");
    button.disabled = byId("interrupt").disabled = !active;
    button.classList.toggle("on", paused);
    label(button, paused ? "Resume" : "Pause", paused ? "play" : "pause");
  }

  startClock() {
    if (this.ticking) return;
    const tick = () => (byId("clock").textContent = clock(Date.now() - this.session.answeredAt));
    tick();
    this.ticking = setInterval(tick, 500);
  }

  stopClock() {
    clearInterval(this.ticking);
    this.ticking = 0;
  }

  paintHold() {
    const { held } = this.session;
    byId("hold").classList.toggle("on", held);
    label(byId("hold"), held ? "Take back" : "Hold", held ? "play" : "hold");
    if (this.session.state === "connected") this.paintWords("connected", "");
  }

  toggleMute() {
    this.session.mute(!this.session.sound.muted);
    this.paintMute();
  }

  paintMute() {
    const { muted } = this.session.sound;
    const button = byId("mute");
    button.classList.toggle("on", muted);
    label(button, muted ? "Unmute" : "Mute", muted ? "mic-off" : "mic");
  }

  key(event) {
    if (event.key.toLowerCase() !== "m" || byId("in-call").hidden || isTyping(event)) return;
    this.toggleMute();
  }
}

/** Rename a button and give it another icon of the same sprite. */
function label(button, text, symbol) {
  button.querySelector("span").textContent = text;
  const use = button.querySelector("use");
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${symbol}`));
}
