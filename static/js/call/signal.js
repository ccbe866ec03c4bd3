/** The signalling socket of one call: JSON commands out, JSON events and audio in, and a new socket when it breaks. */

/** Pauses between attempts to get back in, ms. */
const RETRY_MS = [250, 500, 1000, 2000, 4000];
/** Time between pings, ms. A browser shows neither pings of WebSockets nor a connection that is half open. */
const PING_MS = 1000;
/** Longest wait for any message after a ping, ms; then the socket counts as lost. */
const PONG_MS = 1500;
/** The same after a sign that the network has changed. */
const PROBE_MS = 600;
/** Longest wait for a new socket, ms. A connection attempt into a dead network would wait for minutes. */
const DIAL_MS = 3000;

/**
 * Events: `open`, `event` (detail: one parsed event of the switch), `audio` (detail: ArrayBuffer),
 * `lost` (trying again), `back`, `close` (detail: {code, reason, clean}: over for good).
 */
export class Signal extends EventTarget {
  /**
   * @param {import("../server.js").Server} server
   * @param {string} path one of the call routes, relative to the switch.
   * @param {{id: string, resumeSeconds?: number, token?: string, supervise?: string}} options `token` takes up a call
   *   that is under way; all its events come again then. `supervise`: the call that this one is to be beside.
   */
  constructor(server, path, { id, resumeSeconds = 0, token = "", supervise = "" }) {
    super();
    this.server = server;
    this.path = path;
    this.id = id;
    this.resumeSeconds = resumeSeconds;
    this.token = token;
    this.supervise = supervise;
    this.seq = 0;
    this.over = false;
    this.attempts = 0;
    this.pings = 0;
    this.waiting = [];
    this.networkChanged = () => this.probe();
  }

  /** Connect; settles when the switch has accepted the socket. */
  open() {
    return new Promise((resolve, reject) => {
      this.addEventListener("open", () => resolve(), { once: true });
      this.addEventListener("close", ({ detail }) => reject(new Error(detail.reason || unreachable)), { once: true });
      this.dial(this.token ? { id: this.id, resume: this.token, seq: 0 } : { id: this.id, resume: this.resumeSeconds || "", supervise: this.supervise });
    });
  }

  dial(query) {
    clearTimeout(this.retry);
    const socket = this.server.socket(this.path, query);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    // What a replaced socket still has to say is of no interest.
    const current = (act) => (event) => socket === this.socket && act(event);
    socket.onopen = current(() => this.opened());
    socket.onmessage = current(({ data }) => this.receive(data));
    socket.onclose = current((close) => this.closed(close));
    this.dialling = setTimeout(() => socket === this.socket && this.replace(), DIAL_MS);
  }

  opened() {
    clearTimeout(this.dialling);
    this.emit(this.lostAt ? "back" : "open");
    this.lostAt = this.attempts = 0;
    for (const text of this.waiting.splice(0)) this.socket.send(text);
    this.watch();
  }

  // --- is the socket alive? -----------------------------------------------------------

  /** Ping the switch from now on, and after every sign that the network has changed. */
  watch() {
    if (this.pinging || !this.resumeSeconds) return;
    this.pinging = setInterval(() => this.ping(PONG_MS), PING_MS);
    globalThis.addEventListener("online", this.networkChanged);
    globalThis.addEventListener("offline", this.networkChanged);
    document.addEventListener("visibilitychange", this.networkChanged);
    navigator.connection?.addEventListener("change", this.networkChanged);
  }

  unwatch() {
    clearInterval(this.pinging);
    clearTimeout(this.doubting);
    this.pinging = this.doubting = 0;
    globalThis.removeEventListener("online", this.networkChanged);
    globalThis.removeEventListener("offline", this.networkChanged);
    document.removeEventListener("visibilitychange", this.networkChanged);
    navigator.connection?.removeEventListener("change", this.networkChanged);
  }

  /** The network may have changed: find out at once whether the socket still works, or try again now. */
  probe() {
    if (this.over) return;
    if (this.lostAt) {
      if (navigator.onLine !== false && this.retry) this.again();
    } else if (navigator.onLine === false) this.replace();
    else {
      clearTimeout(this.doubting);
      this.doubting = 0;
      this.ping(PROBE_MS);
    }
  }

  ping(patience) {
    // Without a token there is no way back, and a second doubt adds nothing to the first.
    if (this.over || this.doubting || !this.token || this.socket.readyState !== WebSocket.OPEN) return;
    this.socket.send(JSON.stringify({ command: "ping", requestId: `ping-${++this.pings}` }));
    const { socket } = this;
    this.doubting = setTimeout(() => {
      this.doubting = 0;
      if (socket === this.socket) this.replace();
    }, patience);
  }

  /** Give the socket up although it does not say that it is closed. */
  replace() {
    const old = this.socket;
    old.onclose = old.onmessage = old.onopen = null;
    old.close();
    this.closed({ code: 1006, reason: "" });
  }

  receive(data) {
    clearTimeout(this.doubting);
    this.doubting = 0;
    if (data instanceof ArrayBuffer) return this.emit("audio", data);
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      event = { event: "unreadable", text: String(data) };
    }
    // Anything that is not an object with a name is still shown to the person, as what it is.
    if (event === null || typeof event !== "object") event = { event: "unreadable", value: event };
    if (event.event === "pong") return undefined;
    if (Number.isInteger(event.seq)) this.seq = Math.max(this.seq, event.seq);
    // `answer` brings the first token, `resumed` the next; an answer that comes again has a spent one.
    if (typeof event.resume === "string" && (event.event === "resumed" || !this.token)) this.token = event.resume;
    if (event.event === "hangup") this.over = true;
    return this.emit("event", event);
  }

  /** Send a command; while the socket is being won back it waits in line. Returns false when the call is over. */
  send(command) {
    const text = JSON.stringify(command);
    if (this.over) return false;
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(text);
    else this.waiting.push(text);
    return true;
  }

  /** Send one frame of audio; audio that cannot leave now is dropped, never queued. */
  sendAudio(data) {
    if (this.socket.readyState !== WebSocket.OPEN || this.socket.bufferedAmount > 64 * 1024) return false;
    this.socket.send(data);
    return true;
  }

  closed({ code, reason }) {
    clearTimeout(this.dialling);
    clearTimeout(this.doubting);
    this.doubting = 0;
    const now = performance.now();
    const first = !this.lostAt;
    this.lostAt ||= now;
    const elapsed = now - this.lostAt;
    // 1006 is an accident of the network; every other code is the switch's own decision.
    const accident = code === 1006 && this.token && elapsed < this.resumeSeconds * 1000;
    if (this.over || !accident) {
      const clean = this.over || code === 1000;
      this.over = true;
      this.unwatch();
      return this.emit("close", { code, reason, clean });
    }
    if (first) this.emit("lost");
    // The first attempt leaves at once: a socket of the old network is dead, one of the new network works.
    const pause = this.attempts ? RETRY_MS[Math.min(this.attempts, RETRY_MS.length) - 1] : 0;
    this.attempts += 1;
    this.retry = setTimeout(() => this.again(), pause);
    return undefined;
  }

  again() {
    clearTimeout(this.retry);
    this.retry = 0;
    this.dial({ id: this.id, resume: this.token, seq: this.seq });
  }

  close() {
    this.over = true;
    this.unwatch();
    clearTimeout(this.retry);
    clearTimeout(this.dialling);
    this.socket?.close(1000);
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

const unreachable = "The switch did not accept the connection.";
