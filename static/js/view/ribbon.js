/** The conversation as a ribbon: the person above the line, the switch below it, the last seconds moving left. */

const COLUMN_MS = 40;
const BAR_PX = 3;
const PITCH_PX = 4;
/** Below this level a bar is only the resting dot, dBFS. */
const FLOOR_DB = -54;
const LIMIT = 1000;

export class Ribbon {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.columns = [];
    this.marks = [];
    this.count = 0;
    this.pending = { near: 0, far: 0, since: 0 };
    new ResizeObserver(() => this.fit()).observe(canvas);
    document.addEventListener("themechange", () => this.readColours());
    this.readColours();
  }

  readColours() {
    const style = getComputedStyle(this.canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`);
    this.colours = { near: colour("near"), far: colour("far"), rest: colour("rest"), mark: colour("ink-2") };
    this.font = `600 11px ${style.fontFamily}`;
    this.draw();
  }

  fit() {
    const scale = devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth) return;
    this.canvas.width = clientWidth * scale;
    this.canvas.height = clientHeight * scale;
    this.draw();
  }

  clear() {
    this.columns = [];
    this.marks = [];
    this.count = 0;
    this.draw();
  }

  /** Note something at the present moment, written small above the ribbon. */
  mark(text) {
    this.marks.push({ at: this.count, text });
    if (this.marks.length > 60) this.marks.shift();
  }

  /** Take the peak amplitudes (0..1) of both sides; a bar is the loudest of its 40 ms. */
  push(near, far, now) {
    this.pending.near = Math.max(this.pending.near, near);
    this.pending.far = Math.max(this.pending.far, far);
    if (now - this.pending.since < COLUMN_MS) return;
    this.columns.push([height(this.pending.near), height(this.pending.far)]);
    if (this.columns.length > LIMIT) this.columns.shift();
    this.count += 1;
    this.pending = { near: 0, far: 0, since: now };
    this.draw();
  }

  draw() {
    const { width, height: tall } = this.canvas;
    const pen = this.canvas.getContext("2d");
    const scale = devicePixelRatio || 1;
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, tall);
    const right = width / scale;
    const middle = tall / scale / 2;
    const reach = middle - 16;
    const visible = Math.floor(right / PITCH_PX);
    for (let back = 0; back < visible; back++) {
      const x = right - (back + 1) * PITCH_PX;
      const column = this.columns[this.columns.length - 1 - back] ?? [0, 0];
      bar(pen, x, middle - 2, -column[0] * reach, column[0] ? this.colours.near : this.colours.rest);
      bar(pen, x, middle + 2, column[1] * reach, column[1] ? this.colours.far : this.colours.rest);
    }
    this.drawMarks(pen, right);
  }

  drawMarks(pen, right) {
    pen.fillStyle = this.colours.mark;
    pen.font = this.font;
    pen.textAlign = "center";
    for (const { at, text } of this.marks) {
      const x = right - (this.count - at) * PITCH_PX;
      if (x > 10) pen.fillText(text, Math.min(x, right - 14), 11);
    }
  }
}

function bar(pen, x, base, extent, colour) {
  const size = Math.max(2, Math.abs(extent));
  pen.fillStyle = colour;
  pen.beginPath();
  pen.roundRect(x, extent < 0 || Object.is(extent, -0) ? base - size : base, BAR_PX, size, 1.5);
  pen.fill();
}

function height(amplitude) {
  const level = 20 * Math.log10(amplitude || 1e-9);
  return Math.max(0, Math.min(1, (level - FLOOR_DB) / -FLOOR_DB));
}
