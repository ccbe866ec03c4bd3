/** Streaming sample-rate conversion by a polyphase windowed sinc; runs in the page and in the worklet. */

const ZERO_CROSSINGS = 12;
/** Pass band as a share of the lower Nyquist rate; the rest is the filter's slope. */
const PASS_BAND = 0.93;

function gcd(a, b) {
  while (b) [a, b] = [b, a % b];
  return a;
}

export class Resampler {
  /**
   * @param {number} from rate of the samples pushed, Hz.
   * @param {number} to rate of the samples returned, Hz.
   */
  constructor(from, to) {
    const divisor = gcd(from, to);
    this.up = to / divisor;
    this.down = from / divisor;
    this.phase = 0;
    if (this.up === this.down) return;
    this.taps = 2 * Math.ceil(ZERO_CROSSINGS * Math.max(1, from / to));
    this.kernel = designKernel(this.up, this.taps, Math.min(1, to / from) * PASS_BAND);
    this.tail = new Float32Array(this.taps - 1);
    this.skip = 0;
  }

  /** Take any number of samples, give those that are complete. The delay is half the filter. */
  push(input) {
    if (this.up === this.down) return input;
    const line = new Float32Array(this.tail.length + input.length);
    line.set(this.tail);
    line.set(input, this.tail.length);
    const output = [];
    let at = this.skip;
    while (at + this.taps <= line.length) {
      const row = this.phase * this.taps;
      let sum = 0;
      for (let tap = 0; tap < this.taps; tap++) sum += this.kernel[row + tap] * line[at + tap];
      output.push(sum);
      this.phase += this.down;
      at += Math.floor(this.phase / this.up);
      this.phase %= this.up;
    }
    // When shrinking, the next output may start beyond what has arrived: remember how far.
    const keep = Math.min(this.taps - 1, line.length);
    this.tail = line.slice(line.length - keep);
    this.skip = at - (line.length - keep);
    return Float32Array.from(output);
  }
}

/** One row of `taps` weights for each of `up` phases, each row with unit gain at zero frequency. */
function designKernel(up, taps, cutoff) {
  const kernel = new Float32Array(up * taps);
  for (let phase = 0; phase < up; phase++) {
    const centre = taps / 2 - 1 + phase / up;
    let sum = 0;
    for (let tap = 0; tap < taps; tap++) {
      const x = tap - centre;
      const sinc = x === 0 ? cutoff : Math.sin(Math.PI * cutoff * x) / (Math.PI * x);
      const window = 0.5 + 0.5 * Math.cos((2 * Math.PI * x) / (taps + 1));
      kernel[phase * taps + tap] = sinc * window;
      sum += sinc * window;
    }
    for (let tap = 0; tap < taps; tap++) kernel[phase * taps + tap] /= sum;
  }
  return kernel;
}
