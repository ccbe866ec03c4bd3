/** Live calls that this key may supervise: listen, whisper, join, take over, with levels and what is said. */

import { t } from "../text.js";
import { build, byId, followEnd } from "../view/dom.js";
import { clock } from "../view/format.js";
import { showNotice } from "../view/notice.js";
import { whileShown } from "../view/while-shown.js";

const EVERY_MS = 2000;
const MODES = [
  { mode: "listen", label: "Listen", hint: "Neither party hears you" },
  { mode: "whisper", label: "Whisper", hint: "Only the agent hears you" },
  { mode: "join", label: "Join", hint: "Both parties hear you" },
  { mode: "takeOver", label: "Take over", hint: "The agent leaves, you talk with the other party" },
];
/** Utterances that stay on the page. */
const MOST_WORDS = 200;

export class Supervise {
  /**
   * @param {import("../call/session.js").Session} session
   * @param {import("../server.js").Server} server
   * @param {() => object} options of the page's calls: transport, codec, microphone.
   */
  constructor(session, server, options) {
    Object.assign(this, { session, server, options });
    this.target = null;
    this.mode = this.wanted = "";
    this.words = new Map();
    this.rows = new Map();
    session.addEventListener("event", ({ detail }) => this.heard(detail));
    session.addEventListener("state", ({ detail }) => !session.active && this.over(detail));
    byId("supervise-stop").addEventListener("click", () => this.stop());
  }

  visible = whileShown(() => this.load(), EVERY_MS);

  async load() {
    try {
      const { calls } = await this.server.json("supervise");
      byId("supervise").hidden = false;
      this.paint(calls.filter(({ id }) => id !== this.session.id));
    } catch (error) {
      // A key without the scope sees no list; what else is wrong the overview says.
      if (error.status === 403 || error.status === 404) byId("supervise").hidden = true;
    }
  }

  paint(calls) {
    byId("supervise-count").textContent = calls.length || "";
    byId("supervise-empty").hidden = calls.length > 0;
    const rows = new Map();
    for (const call of calls) {
      const key = `${call.id} ${this.target === call.id ? this.mode : ""}`;
      const row = this.rows.get(key) ?? this.row(call);
      const others = call.supervisors.length ? t("{count} listening", { count: call.supervisors.length }) : "";
      row.querySelector(".fine").textContent = [clock(call.durationMs), others].filter(Boolean).join(" · ");
      rows.set(key, row);
    }
    this.rows = rows;
    this.calls = calls;
    const list = byId("supervise-calls");
    const shown = [...rows.values()];
    // A row that says the same stays: one of its buttons may have the focus.
    if (shown.length !== list.children.length || shown.some((row, at) => row !== list.children[at])) {
      const focused = document.activeElement?.dataset?.supervise;
      list.replaceChildren(...shown);
      if (focused) list.querySelector(`[data-supervise="${CSS.escape(focused)}"]`)?.focus();
    }
  }

  row(call) {
    const name = `${call.caller || t("unknown")} → ${call.callee || t("unknown")}`;
    const buttons = MODES.map(({ mode, label, hint }) =>
      build(
        "button",
        {
          type: "button",
          class: "quiet",
          title: t(hint),
          "aria-pressed": String(this.target === call.id && this.mode === mode),
          data: { supervise: `${mode} ${call.id}` },
          on: { click: () => this.change(call, mode) },
        },
        t(label),
        build("span", { class: "visually-hidden" }, ` ${name}`),
      ),
    );
    return build(
      "li",
      {},
      build("span", { class: "tag" }, t(call.direction === "outbound" ? "Outgoing" : "Incoming")),
      build("span", { class: "who" }, build("strong", {}, name), build("small", { title: call.id }, call.user || call.trunk || call.id)),
      build("span", { class: "fine" }),
      build("span", { class: "actions modes" }, ...buttons),
    );
  }

  /** Supervise a call in a mode, with this page's call if it is up, else with one that is placed for it. */
  async change(call, mode) {
    const { session } = this;
    const fresh = this.target !== call.id;
    if (fresh && this.target) this.stop();
    if (session.state === "connected") {
      session.send({ command: "supervise", mode, transcript: true, ...(fresh && { targetSessionId: call.id }) });
      return;
    }
    if (session.active) return;
    this.wanted = mode;
    const { transport, codec, microphone } = this.options();
    const option = { callee: `supervise:${call.id}`, vad: false };
    await session.call({ transport: transport === "sip" ? "webrtc" : transport, codec, microphone, option, supervise: call.id });
    if (!session.active) showNotice(t(session.detail));
  }

  stop() {
    if (this.mode === "takeOver") this.session.hangup();
    else this.session.send({ command: "supervise", mode: "stop" });
  }

  heard(event) {
    if (event.event === "supervision") this.changed(event);
    else if (event.event === "levels") this.level(event);
    else if (event.event === "overheard") this.say(event);
    else if (event.event === "error" && event.sender === "supervise") showNotice(event.error);
  }

  changed({ targetSessionId, state, mode }) {
    if (state === "ended") return this.over();
    if (this.target !== targetSessionId) this.clear();
    // A call that was placed for it begins by listening.
    if (this.wanted) this.session.send({ command: "supervise", mode: this.wanted, transcript: true });
    this.wanted = "";
    Object.assign(this, { target: targetSessionId, mode });
    byId("supervise-now").hidden = false;
    byId("supervise-line").textContent = t(MODES.find((one) => one.mode === mode).hint);
    this.paint(this.calls ?? []);
    return undefined;
  }

  over() {
    this.wanted = "";
    if (!this.target) return;
    this.target = null;
    this.mode = "";
    byId("supervise-now").hidden = true;
    this.paint(this.calls ?? []);
  }

  clear() {
    this.words.clear();
    byId("supervise-words").replaceChildren();
    this.level({ first: -127, second: -127 });
  }

  level({ first, second }) {
    byId("supervise-first").value = first;
    byId("supervise-second").value = second;
  }

  /** Write an utterance down; what is said of it later takes its place. */
  say({ side, index, text, final }) {
    const list = byId("supervise-words");
    const key = `${side} ${index}`;
    followEnd(list, () => {
      let row = this.words.get(key);
      if (!row) {
        row = build(
          "li",
          { class: side === "first" ? "near" : "far" },
          build("span", { class: "who" }, t(side === "first" ? "First party" : "Other side")),
          build("span", { class: "words" }),
        );
        this.words.set(key, row);
        list.append(row);
        if (list.children.length > MOST_WORDS) list.firstChild.remove();
      }
      row.querySelector(".words").textContent = text;
      row.toggleAttribute("data-final", final);
      if (final) this.words.delete(key);
    });
  }
}
