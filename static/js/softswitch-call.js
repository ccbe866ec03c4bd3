/**
 * `<softswitch-call>`: a call button for any page.
 *
 * Attributes: `server` (address of the switch; by default the one that served this file), `transport` (webrtc,
 * websocket; `way` is an older name of it),
 * `caller`, `callee`, `greeting`, `label`, `captions` (show what is said), `token` (API key).
 * Methods: `call()`, `hangup()`, `say(text)`, `send(command)`. Properties: `state`, `session`.
 * Events, both bubbling: `softswitch-state` ({state, detail}), `softswitch-event` (each event of the switch).
 * Looks: `--softswitch-accent`, `--softswitch-on-accent`, and the parts `button`, `status`, `captions`.
 */

import { t } from "./text.js";
import { Session } from "./call/session.js";
import { Sound } from "./call/sound.js";
import { Server } from "./server.js";
import { build } from "./view/dom.js";

/** Constructed, not linked: it needs no request and passes every `style-src`. */
const SHEET = new CSSStyleSheet();
SHEET.replaceSync(`
  :host { display: inline-grid; gap: 8px; font: 14px/1.45 system-ui, sans-serif; }
  :host([hidden]) { display: none; }
  div { display: flex; align-items: center; gap: 12px; }
  button {
    min-height: 44px; padding: 0 22px; border: 0; border-radius: 22px; cursor: pointer; font: inherit;
    font-size: 15px; font-weight: 600; background: var(--softswitch-accent, #0b6b5d); color: var(--softswitch-on-accent, #fff);
  }
  button:focus-visible { outline: 2px solid; outline-offset: 2px; }
  button.up { background: #b3261e; color: #fff; }
  p { margin: 0; max-width: 46ch; }
  p:empty { display: none; }
  .guess { opacity: 0.7; font-style: italic; }
`);

const STATUS = {
  disconnected: "",
  connecting: "Calling…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  failed: "Failed",
};

export class SoftswitchCall extends HTMLElement {
  constructor() {
    super();
    this.button = build("button", { type: "button", part: "button", on: { click: () => this.toggle() } });
    this.status = build("span", { part: "status", role: "status" });
    this.line = build("p", { part: "captions", "aria-live": "polite" });
    const root = this.attachShadow({ mode: "open", delegatesFocus: true });
    root.adoptedStyleSheets = [SHEET];
    root.append(build("div", {}, this.button, this.status), this.line);
    this.session = null;
  }

  static observedAttributes = ["label"];

  attributeChangedCallback() {
    this.paintLabel();
  }

  connectedCallback() {
    this.paint({ state: this.state, detail: "" });
  }

  disconnectedCallback() {
    this.hangup();
  }

  get state() {
    return this.session?.state ?? "disconnected";
  }

  toggle() {
    if (this.session?.active) this.hangup();
    else this.call();
  }

  async call() {
    if (this.session?.active) return;
    this.session = this.connect();
    await this.session.call({
      transport: this.getAttribute("transport") ?? this.getAttribute("way") ?? "webrtc",
      greeting: this.getAttribute("greeting") ?? "",
      option: {
        caller: this.getAttribute("caller") ?? "web",
        callee: this.getAttribute("callee") ?? "assistant",
        vad: { type: "silero" },
        bargeIn: { mode: "server" },
        ...(this.hasAttribute("captions") && { asr: { provider: "builtin" } }),
      },
    });
  }

  /** A session of its own for each call: the address may have changed since the last one. */
  connect() {
    const address = this.getAttribute("server");
    const token = this.getAttribute("token") ?? "";
    const server = new Server(address ? new URL(address.replace(/\/*$/, "/"), document.baseURI) : undefined, { token });
    const session = new Session(server, (this.sound ??= new Sound()));
    session.addEventListener("state", ({ detail }) => this.paint(detail));
    session.addEventListener("event", ({ detail }) => this.heard(detail));
    return session;
  }

  hangup() {
    this.session?.hangup();
  }

  say(text) {
    return this.session?.say(text);
  }

  send(command) {
    return this.session?.send(command) ?? false;
  }

  heard(event) {
    if (event.event === "asrDelta" || event.event === "asrFinal") {
      this.line.textContent = event.text ?? "";
      this.line.className = event.event === "asrDelta" ? "guess" : "";
    }
    this.tell("softswitch-event", event);
  }

  paint(change) {
    const active = this.session?.active ?? false;
    this.paintLabel();
    this.button.classList.toggle("up", active);
    this.status.textContent = t(change.state === "failed" ? change.detail : STATUS[change.state]);
    if (!active) this.line.textContent = "";
    if (this.session) this.tell("softswitch-state", change);
  }

  paintLabel() {
    this.button.textContent = this.session?.active ? t("Hang up") : (this.getAttribute("label") ?? t("Call"));
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail, bubbles: true, composed: true }));
  }
}

customElements.define("softswitch-call", SoftswitchCall);
