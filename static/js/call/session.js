/** One call from this browser: the states a person sees, the commands they give, the events that come back. */

import { Playing } from "./playing.js";
import { Signal } from "./signal.js";
import { transportById } from "./transports.js";

export const STATES = ["disconnected", "connecting", "connected", "reconnecting", "failed"];
/** Seconds the switch keeps a call whose socket was lost. */
export const RESUME_S = 20;
/** Longest wait for the answer before the person is told, ms. */
const ANSWER_MS = 15_000;
/** How long a telephone may ring. */
const RING_MS = 60_000;
/** Code of the error that says that the switch has moved to another address: the path of the sound is dead. */
const MOVED = 410;
/** How long a note about something that failed stays, ms. */
const NOTE_MS = 12_000;

/**
 * Events: `state` ({state, detail}), `event` (every event of the switch), `sent` (every command),
 * `digit` (keys that left), `media` (sound flows or does not), `playing` (a playback began, ended, was held),
 * `note` (a sentence about something that failed while the call goes on; empty: it has passed).
 */
export class Session extends EventTarget {
  constructor(server, sound) {
    super();
    this.server = server;
    this.sound = sound;
    this.state = "disconnected";
    this.detail = "";
    this.plays = 0;
    this.attempt = 0;
    this.playing = new Playing();
  }

  get active() {
    return this.state === "connecting" || this.state === "connected" || this.state === "reconnecting";
  }

  /** Return a function that says whether the call of this moment is still wanted: it must follow every await. */
  watcher() {
    const { attempt } = this;
    return () => this.active && this.attempt === attempt;
  }

  /**
   * Place a call. Settles when it is answered or has failed; the reason is then in `detail`.
   * @param {{transport: string, codec?: string, option: object, greeting?: string, voice?: object,
   *   microphone?: object, dial?: {number: string, caller: string}, take?: string, supervise?: string}} options `dial` rings a telephone
   *   and joins it once this call is up; `take` accepts the call of that id, which waits at the switch; `supervise` is
   *   the id of the call that this one is for.
   */
  async call(options) {
    if (this.active) return;
    await this.begin(options, { id: options.take ?? crypto.randomUUID() });
  }

  /**
   * Come back to a call that this page had before it was loaded again.
   * @param {{id: string, token: string, transport: string, codec: string, answeredAt: number}} kept
   */
  async comeBack(kept) {
    if (this.active) return;
    await this.begin({ transport: kept.transport, codec: kept.codec, option: {} }, kept);
  }

  async begin(options, { id, token = "", answeredAt = 0 }) {
    this.attempt += 1;
    Object.assign(this, { options, id, answeredAt, held: false, invited: Boolean(token), parting: false, greeted: false });
    this.transport = this.signal = null;
    this.troubles = new Map();
    this.playing = new Playing();
    this.note("");
    const { silent } = transportById(options.transport);
    this.setState("connecting", silent ? "" : "Opening the microphone");
    const wanted = this.watcher();
    try {
      await this.sound.wake();
      if (!wanted()) return;
      if (!silent) await this.sound.openMicrophone(options.microphone, wanted);
      if (!wanted()) return;
      this.connect(options, token);
      if (token) await this.rejoin(options, wanted);
      else await this.invite(options, wanted);
    } catch (error) {
      if (wanted()) this.finish("failed", error.message);
    }
  }

  /** Build the transport and the socket; what those of an earlier call still say is not heard. */
  connect({ transport: name, supervise = "" }, token) {
    const Transport = transportById(name);
    const mine = (act) => (value) => this.transport === transport && act(value);
    const signal = new Signal(this.server, Transport.path, { id: this.id, resumeSeconds: RESUME_S, token, supervise });
    const transport = new Transport({
      server: this.server,
      sound: this.sound,
      send: mine((command) => this.send(command)),
      sendAudio: (data) => signal.sendAudio(data),
      mediaState: mine((state) => this.mediaChanged(state)),
    });
    this.transport = transport;
    this.signal = signal;
    this.listen(signal);
    this.setState("connecting", "Reaching the switch");
  }

  async invite({ codec, option, take }, wanted) {
    const { transport, signal } = this;
    const [transportOption] = await Promise.all([transport.option({ codec }), signal.open()]);
    if (!wanted()) return;
    this.setState("connecting", "Waiting for the answer");
    this.awaitAnswer(ANSWER_MS);
    this.invited = true;
    this.send({ command: take ? "accept" : "invite", option: { ...option, ...transportOption } });
    transport.inviteSent();
  }

  /** Take up the running call: its events come again, then `resumed`, after which the sound is negotiated anew. */
  async rejoin({ codec }, wanted) {
    const { transport, signal } = this;
    this.awaitAnswer(ANSWER_MS);
    const resumed = new Promise((resolve) => {
      signal.addEventListener("event", ({ detail }) => detail.event === "resumed" && resolve());
    });
    await signal.open();
    await resumed;
    if (!wanted()) return;
    await transport.rejoin({ codec });
    if (!wanted()) return;
    clearTimeout(this.answerTimer);
    this.trouble("answer", "");
  }

  awaitAnswer(patience) {
    clearTimeout(this.answerTimer);
    this.answerTimer = setTimeout(() => this.finish("failed", "The call was not answered."), patience);
  }

  listen(signal) {
    const on = (type, act) => signal.addEventListener(type, ({ detail }) => signal === this.signal && act(detail));
    on("event", (event) => this.heard(event));
    on("audio", (data) => this.transport.audio(data));
    on("lost", () => this.trouble("signal", "The connection was lost. Trying again"));
    on("back", () => this.trouble("signal", ""));
    on("close", (close) => this.closed(close));
  }

  /** Every event is passed on; a few also move the call. */
  heard(event) {
    this.playing.heard(event);
    if (event.event === "hold") this.held = event.onHold === true;
    this.emit("event", event);
    this.emit("playing", this.playing);
    if (event.event === "answer" && !event.refer) this.answered(event);
    if (event.event === "candidate") this.transport.candidates?.(event.candidates);
    if (event.event === "resumed" && this.state !== "connecting") this.transport.recover?.();
    if (event.event === "ringing" && !this.answeredAt) this.ringing();
    if (event.event === "interruption") this.transport.interrupted();
    if (event.event === "hangup") this.finish("disconnected", sayReason(event));
    if (event.event === "resumed" && event.unheard) {
      this.note(`${(event.unheard / 1000).toFixed(1)} s were played while the connection was lost`);
    }
    this.failed(event);
  }

  /** What failed ends the call, or is said where the person looks while the call goes on. */
  failed(event) {
    if (event.event === "reject") {
      const reason = [event.reason || "no reason given", event.code && `(${event.code})`].filter(Boolean).join(" ");
      // Another party that did not want to join leaves the call as it was.
      if (this.answeredAt && !this.options.dial) this.note(`The transfer failed: ${reason}`);
      else this.finish("failed", event.reason ?? `Rejected (${event.code ?? "no code"})`);
    }
    if (event.event !== "error") return;
    if (!this.answeredAt) this.lastError = event.error;
    else this.note([SENDERS[event.sender] ?? event.sender, event.error].filter(Boolean).join(": "));
    if (event.sender === "offer") this.transport.refused();
    if (event.sender === "media" && event.code === MOVED) this.transport.recover?.();
  }

  /** Say something about the running call; it disappears by itself. */
  note(text) {
    clearTimeout(this.noteTimer);
    this.emit("note", text);
    if (text) this.noteTimer = setTimeout(() => this.emit("note", ""), NOTE_MS);
  }

  /** A telephone may ring as long as a person needs to walk to it. */
  ringing() {
    this.awaitAnswer(RING_MS);
    this.setState("connecting", "Ringing");
  }

  async answered(event) {
    const wanted = this.watcher();
    const { transport } = this;
    const again = this.answeredAt > 0;
    clearTimeout(this.answerTimer);
    this.answeredAt ||= Date.now();
    try {
      await transport.answered(event);
    } catch (error) {
      if (wanted()) this.finish("failed", `The answer could not be used: ${error.message}`);
      return;
    }
    if (again || !wanted()) return;
    this.trouble("answer", "");
    await transport.ready;
    if (!wanted()) return;
    const { greeting, voice, dial } = this.options;
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

  /** Speak `text`. Each request has its own playId, so that a new one takes over from the old. */
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
    this.transport?.interrupted();
    this.send({ command: "interrupt" });
  }

  /** Hold the call or take it back, where the transport can. */
  async hold(on) {
    if (this.state === "connected" && this.transport.canHold) await this.transport.hold(on);
  }

  mute(muted) {
    this.sound.mute(muted);
  }

  /** Press keys. Returns false when this call cannot carry them. */
  dtmf(digits) {
    const done = this.state === "connected" && this.transport.dtmf(digits);
    if (done) this.emit("digit", digits);
    return done;
  }

  async changeMicrophone(options) {
    if (!this.active || !this.sound.track) return;
    const wanted = this.watcher();
    await this.sound.openMicrophone(options, wanted);
    if (wanted()) await this.transport?.microphoneChanged();
  }

  /** What a page needs that takes this call up after it was loaded again; null where nothing can be taken up. */
  get kept() {
    if (!this.active || !this.answeredAt || !this.signal?.token) return null;
    const { id, answeredAt, options } = this;
    return { id, answeredAt, token: this.signal.token, transport: options.transport, codec: options.codec ?? "" };
  }

  hangup() {
    if (!this.active) return;
    const asked = this.answeredAt && this.part();
    // The switch answers with `hangup` and closes; a dead one must not keep the person waiting.
    if (asked) this.farewell = setTimeout(() => this.finish("disconnected", "You hung up"), 1500);
    else this.finish("disconnected", "You hung up");
  }

  /** Ask the switch, once, to end the call. Without it the switch would wait for this page to come back. */
  part() {
    if (this.parting || !this.invited) return this.parting;
    this.parting = this.send({ command: "hangup", reason: "user_requested", initiator: "user" });
    return this.parting;
  }

  finish(state, detail) {
    if (!this.active) return;
    clearTimeout(this.answerTimer);
    clearTimeout(this.farewell);
    this.part();
    this.transport?.close();
    this.signal?.close();
    this.lastError = undefined;
    this.note("");
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

/** What failed, by the `sender` of an `error` event. */
const SENDERS = {
  play: "The file could not be played",
  tts: "The text could not be spoken",
  refer: "The transfer failed",
  asr: "Speech is not recognised",
  vad: "Speech detection",
  command: "The switch refused a command",
};

const REASONS = {
  user_requested: "You hung up",
  caller: "The caller hung up",
  callee: "The remote party hung up",
  autohangup: "The switch said goodbye",
  killed: "The call was ended from outside",
  media_timeout: "No sound arrived any longer",
  inactivity: "Nothing happened for too long",
  max_duration: "The longest allowed time was reached",
  server_shutdown: "The switch is shutting down",
  busy: "Busy",
  no_answer: "No answer",
};

const sayReason = ({ reason }) => REASONS[reason] ?? reason ?? "The call has ended";
