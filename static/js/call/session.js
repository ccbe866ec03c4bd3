/** One call from this browser: the states a person sees, the commands they give, the events that come back. */

import { Playing } from "./playing.js";
import { Signal } from "./signal.js";
import { wayById } from "./ways.js";

export const STATES = ["disconnected", "connecting", "connected", "reconnecting", "failed"];
/** Seconds the switch keeps a call whose socket was lost. */
const RESUME_S = 20;
/** Longest wait for the answer before the person is told, ms. */
const ANSWER_MS = 15_000;
/** How long a telephone may ring. */
const RING_MS = 60_000;

/**
 * Events: `state` ({state, detail}), `event` (every event of the switch), `sent` (every command),
 * `digit` (keys that left), `media` (sound flows or does not), `playing` (a playback began, ended, was held).
 */
export class Session extends EventTarget {
  constructor(server, sound) {
    super();
    this.server = server;
    this.sound = sound;
    this.state = "disconnected";
    this.detail = "";
    this.plays = 0;
    this.playing = new Playing();
  }

  get active() {
    return this.state === "connecting" || this.state === "connected" || this.state === "reconnecting";
  }

  /**
   * Place a call. Settles when it is answered or has failed; the reason is then in `detail`.
   * @param {{way: string, codec?: string, option: object, greeting?: string, voice?: object, sound?: object,
   *   dial?: {number: string, caller: string}, take?: string}} wish `dial` rings a telephone and joins it once
   *   this call is up; `take` accepts the call of that id, which waits at the switch.
   */
  async call(wish) {
    if (this.active) return;
    this.wish = wish;
    this.id = wish.take ?? crypto.randomUUID();
    this.answeredAt = 0;
    this.held = false;
    this.troubles = new Map();
    this.playing = new Playing();
    this.setState("connecting", wayById(wish.way).silent ? "" : "Opening the microphone");
    try {
      await this.sound.wake();
      if (!wayById(wish.way).silent) await this.sound.openMicrophone(wish.sound);
      await this.invite(wish);
    } catch (error) {
      this.finish("failed", error.message);
    }
  }

  async invite({ way, codec, option, take }) {
    const Way = wayById(way);
    this.way = new Way({
      server: this.server,
      sound: this.sound,
      send: (command) => this.send(command),
      sendAudio: (data) => this.signal.sendAudio(data),
      mediaState: (state) => this.mediaChanged(state),
    });
    this.signal = new Signal(this.server, Way.path, { id: this.id, resumeSeconds: RESUME_S });
    this.listen(this.signal);
    this.setState("connecting", "Reaching the switch");
    const [wayOption] = await Promise.all([this.way.option({ codec }), this.signal.open()]);
    if (!this.active) return;
    this.setState("connecting", "Waiting for the answer");
    this.awaitAnswer(ANSWER_MS);
    this.send({ command: take ? "accept" : "invite", option: { ...option, ...wayOption } });
    this.way.inviteSent();
  }

  awaitAnswer(patience) {
    clearTimeout(this.answerTimer);
    this.answerTimer = setTimeout(() => this.finish("failed", "Nobody answered."), patience);
  }

  listen(signal) {
    signal.addEventListener("event", ({ detail }) => this.heard(detail));
    signal.addEventListener("audio", ({ detail }) => this.way.audio(detail));
    signal.addEventListener("lost", () => this.trouble("signal", "Connection lost, trying again"));
    signal.addEventListener("back", () => this.trouble("signal", ""));
    signal.addEventListener("close", ({ detail }) => this.closed(detail));
  }

  /** Every event is passed on; a few also move the call. */
  heard(event) {
    this.playing.heard(event);
    if (event.event === "hold") this.held = event.onHold === true;
    this.emit("event", event);
    this.emit("playing", this.playing);
    if (event.event === "answer" && !event.refer) this.answered(event);
    if (event.event === "ringing" && !this.answeredAt) this.ringing();
    if (event.event === "interruption") this.way.interrupted();
    if (event.event === "hangup") this.finish("disconnected", sayReason(event));
    // Somebody else who did not want to join leaves the call as it was.
    const stays = this.answeredAt && !this.wish.dial;
    if (event.event === "reject" && !stays) this.finish("failed", event.reason ?? `Rejected (${event.code ?? "no code"})`);
    if (event.event === "error" && !this.answeredAt) this.lastError = event.error;
    if (event.event === "error" && event.sender === "offer") this.way.refused();
  }

  /** A telephone rings as long as somebody needs to walk to it. */
  ringing() {
    this.awaitAnswer(RING_MS);
    this.setState("connecting", "Ringing");
  }

  async answered(event) {
    const again = this.answeredAt > 0;
    clearTimeout(this.answerTimer);
    this.answeredAt ||= Date.now();
    try {
      await this.way.answered(event);
    } catch (error) {
      this.finish("failed", `The answer could not be used: ${error.message}`);
      return;
    }
    if (again) return;
    this.trouble("answer", "");
    await this.way.ready;
    const { greeting, voice, dial } = this.wish;
    if (dial && this.state === "connected") this.refer(dial);
    if (greeting && this.state === "connected") this.say(greeting, { ...voice, playId: "greeting" });
  }

  mediaChanged(state) {
    this.emit("media", state);
    if (state === "failed") this.finish("failed", "No way for the sound was found (ICE failed).");
    else this.trouble("media", state === "reconnecting" ? "The sound is interrupted" : "");
  }

  /** Note that a part of the call is interrupted, or (without a detail) whole again. */
  trouble(part, detail) {
    if (detail) this.troubles.set(part, detail);
    else this.troubles.delete(part);
    if (!this.answeredAt || !this.active) return;
    const [worst] = this.troubles.values();
    this.setState(worst ? "reconnecting" : "connected", worst);
  }

  closed({ code, reason, clean }) {
    if (!this.active) return;
    if (clean) this.finish("disconnected", reason);
    else this.finish("failed", this.lastError ?? (reason || `The connection was lost (${code}).`));
  }

  send(command) {
    if (!this.signal?.send(command)) return false;
    this.emit("sent", command);
    this.playing.sent(command);
    this.emit("playing", this.playing);
    return true;
  }

  /** Speak `text`. A playId of one's own per request, so that a new one takes over from the old. */
  say(text, { provider, speaker, streaming, endOfStream, playId = `say-${++this.plays}` } = {}) {
    const command = { command: "tts", text, playId };
    if (speaker) command.speaker = speaker;
    if (streaming) Object.assign(command, { streaming: true, endOfStream: Boolean(endOfStream) });
    if (provider) command.option = { provider };
    this.send(command);
    return playId;
  }

  /** Ring a telephone and join it with this call. */
  refer({ number, caller }) {
    this.send({ command: "refer", callee: number, ...(caller && { caller }), options: { timeout: RING_MS / 1000 } });
  }

  play(url) {
    this.send({ command: "play", url, playId: `play-${++this.plays}` });
  }

  /** Hold the playback, or let it go on. */
  togglePause() {
    this.send({ command: this.playing.paused ? "resume" : "pause" });
  }

  interrupt() {
    this.way?.interrupted();
    this.send({ command: "interrupt" });
  }

  /** Hold the call or take it back, where the way can. */
  async hold(on) {
    if (this.state === "connected" && this.way.canHold) await this.way.hold(on);
  }

  mute(muted) {
    this.sound.mute(muted);
  }

  /** Press keys. Returns false when this call cannot carry them. */
  dtmf(digits) {
    const done = this.state === "connected" && this.way.dtmf(digits);
    if (done) this.emit("digit", digits);
    return done;
  }

  async changeMicrophone(wish) {
    if (!this.active) return;
    await this.sound.openMicrophone(wish);
    await this.way?.microphoneChanged();
  }

  hangup() {
    if (!this.active) return;
    const asked = this.answeredAt && this.send({ command: "hangup", reason: "user_requested", initiator: "user" });
    // The switch answers with `hangup` and closes; a dead one must not keep the person waiting.
    if (asked) this.farewell = setTimeout(() => this.finish("disconnected", "You hung up"), 1500);
    else this.finish("disconnected", "You hung up");
  }

  finish(state, detail) {
    if (!this.active) return;
    clearTimeout(this.answerTimer);
    clearTimeout(this.farewell);
    this.way?.close();
    this.signal?.close();
    this.lastError = undefined;
    this.setState(state, detail);
    this.sound.rest();
  }

  setState(state, detail = "") {
    if (state === this.state && detail === this.detail) return;
    this.state = state;
    this.detail = detail;
    this.emit("state", { state, detail });
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

const REASONS = {
  user_requested: "You hung up",
  caller: "The caller hung up",
  callee: "The far end hung up",
  autohangup: "The switch said goodbye",
  killed: "The call was ended from outside",
  media_timeout: "No sound arrived any more",
  inactivity: "Nothing happened for too long",
  max_duration: "The longest allowed time was reached",
  server_shutdown: "The switch is shutting down",
  busy: "Busy",
  no_answer: "No answer",
};

const sayReason = ({ reason }) => REASONS[reason] ?? reason ?? "The call has ended";
