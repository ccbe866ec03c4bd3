/** The heart of the page: the state of the call, its clock, and the buttons that act on it. */

import { t } from "../text.js";
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
   * @param {import("../call/room.js").RoomSession} room
   * @param {() => object} readOptions what the form asks for.
   */
  constructor(session, room, readOptions) {
    this.session = session;
    this.room = room;
    room.addEventListener("change", () => this.paintPill(session.state));
    byId("call").addEventListener("click", () => session.call(readOptions()));
    byId("hangup").addEventListener("click", () => session.hangup());
    byId("mute").addEventListener("click", () => this.toggleMute());
    byId("hold").addEventListener("click", () => session.hold(!session.held));
    byId("pause").addEventListener("click", () => session.togglePause());
    byId("interrupt").addEventListener("click", () => session.interrupt());
    document.addEventListener("keydown", (event) => this.key(event));
    session.addEventListener("state", ({ detail }) => this.show(detail));
    session.addEventListener("event", ({ detail }) => detail.event === "hold" && this.paintHold());
    byId("record-pause").addEventListener("click", () =>
      session.send({ command: "record", action: this.recording === "paused" ? "resume" : "pause" }),
    );
    session.addEventListener("event", ({ detail }) => detail.event === "recording" && this.paintRecording(detail.state));
    session.addEventListener("note", ({ detail }) => this.paintNote(detail));
    session.addEventListener("playing", ({ detail }) => this.paintPlaying(detail));
  }

  show({ state, detail }) {
    const { active } = this.session;
    byId("stage").dataset.state = state;
    this.paintPill(state);
    this.paintWords(state, detail);
    const focused = document.activeElement;
    byId("call").hidden = active;
    byId("hangup").hidden = !active;
    byId("in-call").hidden = state !== "connected" && state !== "reconnecting";
    byId("hold").hidden = !this.session.transport?.canHold;
    // A hidden button loses the focus to nowhere: hand it to the one that took its place.
    if (focused === byId("call") && active) byId("hangup").focus();
    else if (!active && byId("stage").contains(focused)) byId("call").focus();
    if (!active) this.stopClock();
    else if (state === "connected") this.startClock();
    else if (state === "connecting") this.reset();
  }

  /** The pill in the head of the page belongs to all views: a room is a connection, too. */
  paintPill(state) {
    const room = this.session.active ? "outside" : this.room.state;
    const pill = byId("connection");
    pill.dataset.state = { inside: "connected", joining: "connecting" }[room] ?? state;
    pill.textContent = t({ inside: "In a room", joining: "Joining a room" }[room] ?? PILLS[state]);
  }

  paintWords(state, detail) {
    const held = state === "connected" && this.session.held;
    byId("stage-title").textContent = t(held ? "On hold" : TITLES[state]);
    byId("stage-line").textContent = t(held ? "Neither side hears the other." : this.line(state, detail));
  }

  line(state, detail) {
    if (state === "connected" && this.session.sound.silent) return "No microphone was found: you are sending silence.";
    return detail || LINES[state] || "";
  }

  /** Something failed while the call goes on. */
  paintNote(text) {
    byId("stage-note").textContent = t(text);
    byId("stage-note").hidden = !text;
  }

  reset() {
    byId("clock").textContent = "00:00";
    this.session.mute(false);
    this.paintMute();
    this.paintHold();
    this.paintPlaying(this.session.playing);
    this.paintRecording(this.session.options?.option?.recorder ? "started" : "");
  }

  /** Only what sounds can be held or interrupted. */
  paintPlaying({ active, paused }) {
    const button = byId("pause");
    button.disabled = byId("interrupt").disabled = !active;
    button.classList.toggle("on", paused);
    label(button, paused ? "Resume" : "Pause", paused ? "play" : "pause");
  }

  /** A call that is recorded can be kept out of the file for a while: card numbers are not recorded. */
  paintRecording(state) {
    this.recording = state;
    const running = state === "started" || state === "resumed";
    byId("record-pause").hidden = !running && state !== "paused";
    byId("record-pause").classList.toggle("on", state === "paused");
    label(byId("record-pause"), state === "paused" ? "Resume recording" : "Pause recording", state === "paused" ? "play" : "pause");
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
  button.querySelector("span").textContent = t(text);
  const use = button.querySelector("use");
  use.setAttribute("href", use.getAttribute("href").replace(/#.*/, `#${symbol}`));
}
