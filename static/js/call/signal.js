/** The signalling socket of one call: JSON commands out, JSON events and audio in, and a second chance when it breaks. */

/** Pauses between attempts to get back in, ms. */
const RETRY_MS = [250, 500, 1000, 2000, 4000];

/**
 * Events: `open`, `event` (detail: one parsed event of the switch), `audio` (detail: ArrayBuffer),
 * `lost` (trying again), `back`, `close` (detail: {code, reason, clean}: over for good).
 */
export class Signal extends EventTarget {
  /**
   * @param {import("../server.js").Server} server
   * @param {string} path one of the call routes, relative to the switch.
   * @param {{id: string, resumeSeconds?: number}} options
   */
  constructor(server, path, { id, resumeSeconds = 0 }) {
    super();
    this.server = server;
    this.path = path;
    this.id = id;
    this.resumeSeconds = resumeSeconds;
    this.token = "";
    this.seq = 0;
    this.over = false;
    this.attempts = 0;
    this.waiting = [];
  }

  /** Connect; settles when the switch has accepted the socket. */
  open() {
    return new Promise((resolve, reject) => {
      this.addEventListener("open", () => resolve(), { once: true });
      this.addEventListener("close", ({ detail }) => reject(new Error(detail.reason || unreachable)), { once: true });
      this.dial({ id: this.id, resume: this.resumeSeconds || "" });
    });
  }

  dial(query) {
    this.socket = this.server.socket(this.path, query);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.opened();
    this.socket.onmessage = ({ data }) => this.receive(data);
    this.socket.onclose = (close) => this.closed(close);
  }

  opened() {
    this.emit(this.lostAt ? "back" : "open");
    this.lostAt = this.attempts = 0;
    for (const text of this.waiting.splice(0)) this.socket.send(text);
  }

  receive(data) {
    if (data instanceof ArrayBuffer) return this.emit("audio", data);
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      event = { event: "unreadable", text: String(data) };
    }
    // Anything that is not an object with a name is still shown to the person, as what it is.
    if (event === null || typeof event !== "object") event = { event: "unreadable", value: event };
    if (Number.isInteger(event.seq)) this.seq = Math.max(this.seq, event.seq);
    // Each token serves once: `answer` brings the first, `resumed` the next.
    if (typeof event.resume === "string") this.token = event.resume;
    if (event.event === "hangup") this.over = true;
    return this.emit("event", event);
  }

  /** Send a command; while the socket is being won back it waits in line. Returns false when the call is over. */
  send(command) {
    const text = JSON.stringify(command);
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(text);
    else if (!this.over) this.waiting.push(text);
    else return false;
    return true;
  }

  /** Send one frame of audio; audio that cannot leave now is dropped, never queued. */
  sendAudio(data) {
    if (this.socket.readyState !== WebSocket.OPEN || this.socket.bufferedAmount > 64 * 1024) return false;
    this.socket.send(data);
    return true;
  }

  closed({ code, reason }) {
    const now = performance.now();
    this.lostAt ||= now;
    const elapsed = now - this.lostAt;
    // 1006 is an accident of the network; every other code is the switch's own decision.
    const accident = code === 1006 && this.token && elapsed < this.resumeSeconds * 1000;
    if (this.over || !accident) {
      const clean = this.over || code === 1000;
      this.over = true;
      return this.emit("close", { code, reason, clean });
    }
    this.emit("lost");
    const attempt = Math.min(this.attempts++, RETRY_MS.length - 1);
    this.retry = setTimeout(() => this.dial({ id: this.id, resume: this.token, seq: this.seq }), RETRY_MS[attempt]);
    return undefined;
  }

  close() {
    this.over = true;
    clearTimeout(this.retry);
    this.socket?.close(1000);
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

const unreachable = "The switch did not accept the connection.";
