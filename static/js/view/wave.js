/** The shape of a recording: the caller above the line, the switch below it; click to go there. */

/** Longer files are played but not drawn: decoding them would take the memory of the page. */
const LIMIT_BYTES = 40e6;
const RATE = 8000;
const PITCH_PX = 3;

export class Wave {
  constructor(canvas, audio) {
    this.canvas = canvas;
    this.audio = audio;
    this.channels = null;
    canvas.addEventListener("click", (event) => this.seek(event));
    audio.addEventListener("timeupdate", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(canvas);
    document.addEventListener("themechange", () => this.draw());
  }

  /** @param {() => Promise<Response>} fetchFile */
  async load(fetchFile) {
    this.channels = null;
    this.draw();
    const current = (this.loading = Symbol("load"));
    const response = await fetchFile();
    if (Number(response.headers.get("Content-Length")) > LIMIT_BYTES) return;
    const decoder = new OfflineAudioContext(2, 1, RATE);
    const decoded = await decoder.decodeAudioData(await response.arrayBuffer());
    if (current !== this.loading) return;
    this.channels = [0, decoded.numberOfChannels - 1].map((channel) => decoded.getChannelData(channel));
    this.draw();
  }

  seek({ offsetX }) {
    if (Number.isFinite(this.audio.duration))
      this.audio.currentTime = (offsetX / this.canvas.clientWidth) * this.audio.duration;
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = devicePixelRatio || 1;
    if (!width) return;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    if (!this.channels) return;
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(this.canvas);
    const colours = ["--near", "--far", "--rest"].map((name) => style.getPropertyValue(name));
    const bars = Math.floor(width / PITCH_PX);
    const heard = (this.audio.currentTime / this.audio.duration) * bars || 0;
    this.channels.forEach((samples, lane) => {
      for (let at = 0; at < bars; at++) {
        const size = Math.max(1, peak(samples, at, bars) * (height / 2 - 3));
        pen.fillStyle = at < heard ? colours[lane] : colours[2];
        pen.fillRect(at * PITCH_PX, lane ? height / 2 + 1 : height / 2 - 1 - size, PITCH_PX - 1, size);
      }
    });
  }
}

function peak(samples, at, bars) {
  const from = Math.floor((at * samples.length) / bars);
  const to = Math.floor(((at + 1) * samples.length) / bars);
  let most = 0;
  for (let index = from; index < to; index++) most = Math.max(most, Math.abs(samples[index]));
  return Math.sqrt(most);
}
