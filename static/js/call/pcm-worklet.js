/** The two audio-thread ends of a WebSocket call: microphone to PCM16 frames, PCM16 frames to the speaker. */
import { Resampler } from "./resample.js";

const FRAME_MS = 20;
/** Audio held before playing starts: covers the unevenness of a socket. */
const PREFILL_MS = 60;
/** More than this is old news: the oldest goes, so delay cannot pile up after a stall. */
const LIMIT_MS = 300;
/** Audio that comes back this soon after running dry was a gap, not the end of an utterance. */
const GAP_MS = 200;

class Capture extends AudioWorkletProcessor {
  constructor({ processorOptions: { rate } }) {
    super();
    this.resampler = new Resampler(sampleRate, rate);
    this.frame = new Int16Array((rate * FRAME_MS) / 1000);
    this.filled = 0;
    this.silence = new Float32Array(128);
    this.open = true;
    this.port.onmessage = () => (this.open = false);
  }

  process([input]) {
    // No microphone is still a call: the switch expects a steady clock of silence.
    for (const sample of this.resampler.push(input[0] ?? this.silence)) {
      const clipped = Math.max(-1, Math.min(1, sample));
      this.frame[this.filled++] = Math.round(clipped * 32767);
      if (this.filled === this.frame.length) this.emit();
    }
    return this.open;
  }

  emit() {
    const pcm = this.frame.slice().buffer;
    this.port.postMessage(pcm, [pcm]);
    this.filled = 0;
  }
}

class Playback extends AudioWorkletProcessor {
  constructor({ processorOptions: { rate } }) {
    super();
    this.rate = rate;
    this.resampler = new Resampler(rate, sampleRate);
    this.queue = [];
    this.offset = 0;
    this.held = 0;
    this.playing = false;
    this.waited = 0;
    this.dryFrames = Infinity;
    this.gaps = 0;
    this.dropped = 0;
    this.blocks = 0;
    this.open = true;
    this.port.onmessage = ({ data }) => this.receive(data);
  }

  receive(data) {
    if (data === "close") this.open = false;
    else if (data === "flush") this.flush();
    else this.feed(new Int16Array(data));
  }

  feed(pcm) {
    const samples = this.resampler.push(Float32Array.from(pcm, (value) => value / 32768));
    if (!samples.length) return;
    if (!this.held && !this.playing && this.dryFrames < (GAP_MS * sampleRate) / 1000) this.gaps += 1;
    this.queue.push(samples);
    this.held += samples.length;
    while (this.held > (LIMIT_MS * sampleRate) / 1000) {
      const oldest = this.queue.shift();
      this.held -= oldest.length - this.offset;
      this.dropped += oldest.length - this.offset;
      this.offset = 0;
    }
  }

  flush() {
    this.queue = [];
    this.offset = this.held = 0;
    this.playing = false;
    this.dryFrames = Infinity;
  }

  process(_inputs, [[output]]) {
    const prefill = (PREFILL_MS * sampleRate) / 1000;
    this.waited = this.held && !this.playing ? this.waited + output.length : 0;
    // A scrap shorter than the prefill must not wait for ever: time counts as well as depth.
    if (this.held >= prefill || this.waited > 2 * prefill) this.playing = true;
    this.dryFrames = this.playing ? 0 : this.dryFrames + output.length;
    if (this.playing) this.fill(output);
    if (++this.blocks % 256 === 0) this.tell();
    return this.open;
  }

  fill(output) {
    let written = 0;
    while (written < output.length && this.queue.length) {
      const head = this.queue[0];
      const count = Math.min(output.length - written, head.length - this.offset);
      output.set(head.subarray(this.offset, this.offset + count), written);
      written += count;
      this.offset += count;
      this.held -= count;
      if (this.offset === head.length) {
        this.queue.shift();
        this.offset = 0;
      }
    }
    if (!this.queue.length) this.playing = false;
  }

  tell() {
    const ms = 1000 / sampleRate;
    this.port.postMessage({ heldMs: this.held * ms, gaps: this.gaps, droppedMs: this.dropped * ms });
  }
}

registerProcessor("softswitch-capture", Capture);
registerProcessor("softswitch-playback", Playback);
