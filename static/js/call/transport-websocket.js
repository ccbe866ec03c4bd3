/** WebSocket: raw PCM16 both ways through two AudioWorklet nodes; goes wherever HTTP goes. */

import { soundDigit } from "./tones.js";

const WORKLET = new URL("./pcm-worklet.js", import.meta.url);
/** What the document gives a client that asks for nothing. */
const DEFAULT_RATE = 16000;

export class WebSocketTransport {
  static id = "websocket";
  static label = "WebSocket";
  static path = "call";
  static hint = "Raw PCM over the signalling socket, passes every proxy";
  static codecs = [
    { value: "", label: "PCM 16 kHz" },
    { value: "8000", label: "PCM 8 kHz" },
    { value: "24000", label: "PCM 24 kHz" },
    { value: "48000", label: "PCM 48 kHz" },
  ];

  constructor({ sound, sendAudio }) {
    Object.assign(this, { sound, sendAudio });
    this.figures = { kind: "websocket", sent: 0, received: 0, unsent: 0, heldMs: 0, gaps: 0, droppedMs: 0 };
    this.toneEnd = 0;
    this.ready = Promise.resolve();
    this.canHold = false;
  }

  async option({ codec }) {
    this.rate = Number(codec) || DEFAULT_RATE;
    await this.load();
    return { codec: "pcm", live: true, ...(codec && { samplerate: this.rate }) };
  }

  /** The answer may have been too long ago to be repeated: its rate is what was asked for. */
  async rejoin({ codec }) {
    await this.option({ codec });
    await this.answered({});
  }

  load() {
    this.loaded ??= this.sound.context.audioWorklet.addModule(WORKLET);
    return this.loaded;
  }

  inviteSent() {
    // Nothing follows the invite here.
  }

  /** The switch says at which rate it listens and speaks; older ones say nothing and mean what was asked. */
  async answered({ audio }) {
    if (this.capture || this.closed) return;
    await this.load();
    if (this.capture || this.closed) return;
    this.rate = audio?.sampleRate ?? this.rate ?? DEFAULT_RATE;
    const { context, upstream } = this.sound;
    const options = { processorOptions: { rate: this.rate }, channelCount: 1, channelCountMode: "explicit" };
    this.capture = new AudioWorkletNode(context, "softswitch-capture", { ...options, numberOfOutputs: 0 });
    this.playback = new AudioWorkletNode(context, "softswitch-playback", {
      ...options,
      numberOfInputs: 0,
      outputChannelCount: [1],
    });
    this.capture.port.onmessage = ({ data }) => this.captured(data);
    this.playback.port.onmessage = ({ data }) => Object.assign(this.figures, data);
    upstream.connect(this.capture);
    this.sound.playNode(this.playback);
  }

  captured(pcm) {
    const { byteLength } = pcm;
    if (this.sendAudio(pcm)) this.figures.sent += byteLength;
    else this.figures.unsent += byteLength;
  }

  audio(data) {
    this.figures.received += data.byteLength;
    this.playback?.port.postMessage(data, [data]);
  }

  /** What is still held on this side must not be heard either. */
  interrupted() {
    this.playback?.port.postMessage("flush");
  }

  async refused() {
    // There are no offers here.
  }

  async microphoneChanged() {
    // The new microphone feeds the same graph.
  }

  /** There are no telephone-events here: the digits sound in the audio, as from a telephone. */
  dtmf(digits) {
    if (!this.capture) return false;
    const { context, upstream, mouth } = this.sound;
    for (const digit of digits) {
      const when = Math.max(context.currentTime, this.toneEnd);
      this.toneEnd = soundDigit(context, upstream, digit, { when });
      mouth.gain.setValueAtTime(0, when);
      mouth.gain.setValueAtTime(1, this.toneEnd);
    }
    return true;
  }

  async report() {
    return [{ ...this.figures, rate: this.rate }];
  }

  close() {
    this.closed = true;
    if (!this.capture) return;
    this.sound.upstream.disconnect(this.capture);
    this.playback.disconnect();
    this.capture.port.postMessage("close");
    this.playback.port.postMessage("close");
  }
}
