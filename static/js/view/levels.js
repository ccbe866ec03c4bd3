/** Reads both meters once per animation frame and passes them to the ribbon and the level bars. */

import { byId } from "./dom.js";

const FLOOR_DB = -60;
/** How fast a bar falls back, dB per second: quick enough for syllables, slow enough to read. */
const FALL_DB_S = 60;
/** The figures beside the bars change this seldom, ms. */
const FIGURE_MS = 200;

export class Levels {
  constructor(session, ribbon) {
    this.session = session;
    this.ribbon = ribbon;
    this.sides = ["near", "far"].map((name) => ({
      name,
      bar: byId(`meter-${name}`),
      figure: byId(`level-${name}`),
      shown: FLOOR_DB,
    }));
    this.samples = new Float32Array(2048);
    this.last = this.figuresAt = 0;
    session.addEventListener("state", ({ detail }) => this.follow(detail.state));
  }

  follow(state) {
    if (this.session.active && !this.frame) this.run();
    if (state === "connecting") this.ribbon.clear();
  }

  run() {
    this.frame = requestAnimationFrame((now) => {
      this.frame = 0;
      if (!this.session.active) return this.rest();
      this.measure(now);
      return this.run();
    });
  }

  measure(now) {
    const fall = (FALL_DB_S * (now - this.last)) / 1000;
    const figures = now - this.figuresAt > FIGURE_MS;
    this.last = now;
    if (figures) this.figuresAt = now;
    const peaks = this.sides.map((side) => {
      const { peak, level } = this.read(this.session.sound[side.name]);
      side.shown = Math.max(level, side.shown - fall, FLOOR_DB);
      side.bar.value = side.shown;
      if (figures) side.figure.textContent = level > FLOOR_DB ? `${Math.round(level)} dB` : "–";
      return peak;
    });
    this.ribbon.push(...peaks, now);
  }

  read(meter) {
    if (!meter) return { peak: 0, level: FLOOR_DB };
    meter.getFloatTimeDomainData(this.samples);
    let peak = 0;
    let energy = 0;
    for (const sample of this.samples) {
      peak = Math.max(peak, Math.abs(sample));
      energy += sample * sample;
    }
    return { peak, level: 10 * Math.log10(energy / this.samples.length || 1e-12) };
  }

  rest() {
    for (const side of this.sides) {
      side.shown = side.bar.value = FLOOR_DB;
      side.figure.textContent = "–";
    }
  }
}
