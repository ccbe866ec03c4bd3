/** The calls that are up, each with a button that ends it; those that have been are in `history.js`. */

import { t } from "../text.js";
import { confirmButton } from "./confirm.js";
import { build, byId } from "./dom.js";
import { clock } from "./format.js";
import { showNotice } from "./notice.js";
import { whileShown } from "./while-shown.js";

const EVERY_MS = 3000;

const DIRECTIONS = { inbound: "Incoming", outbound: "Outgoing" };

/** States of a call, as the switch names them. */
const STATES = { new: "begins", pending: "waits for an answer", setup: "begins", ringing: "rings", up: "is up" };

/** What can be done with the recording of a call, by its state. */
const RECORDING = {
  off: [{ action: "start", label: "Record" }],
  on: [{ action: "pause", label: "Pause recording" }, { action: "stop", label: "Stop recording" }],
  paused: [{ action: "resume", label: "Resume recording" }, { action: "stop", label: "Stop recording" }],
};
/** The text is kept with the record, so that the call is found by its words. */
const RECORDER = { transcribe: true };

export class Calls {
  /**
   * @param {import("../call/session.js").Session} session
   * @param {import("../server.js").Server} server
   * @param {import("./history.js").History} past
   */
  constructor(session, server, past) {
    this.past = past;
    this.session = session;
    this.server = server;
    this.joined = null;
    this.rows = new Map();
    this.ids = new Set();
    session.addEventListener("state", ({ detail }) => detail.state === "connecting" && (this.joined = null));
    byId("calls-refresh").addEventListener("click", () => this.loadBoth());
  }

  visible = whileShown(() => this.load(), EVERY_MS, () => this.loadBoth());

  async loadBoth() {
    await Promise.all([this.load(), this.past.load()]);
  }

  async load() {
    try {
      this.paintLive((await this.server.json("call/lists")).calls);
      showNotice();
    } catch (error) {
      showNotice(t(error.message));
    }
  }

  paintLive(calls) {
    byId("live-count").textContent = calls.length || "";
    byId("live-empty").hidden = calls.length > 0;
    // A row that says the same stays: its button may have the focus, or be waiting for a second press.
    const rows = new Map();
    for (const call of calls) {
      const key = `${call.id} ${this.session.state} ${this.joined === call.id} ${call.state} ${call.recording}`;
      const row = this.rows.get(key) ?? this.liveRow(call);
      row.querySelector(".fine").textContent = [t(STATES[call.state] ?? call.state), clock(Date.now() - Date.parse(call.created_at))]
        .filter(Boolean)
        .join(" · ");
      rows.set(key, row);
    }
    if ([...this.ids].some((id) => !calls.some((call) => call.id === id)) && !this.past.filtered) this.past.load();
    this.ids = new Set(calls.map(({ id }) => id));
    this.rows = rows;
    const list = byId("live");
    const shown = [...rows.values()];
    if (shown.length !== list.children.length || shown.some((row, at) => row !== list.children[at])) {
      const focused = document.activeElement?.dataset?.record;
      list.replaceChildren(...shown);
      if (focused) list.querySelector(`[data-record="${CSS.escape(focused)}"]`)?.focus();
    }
  }

  liveRow(call) {
    const { id, call_type: kind, option = {} } = call;
    const { caller = option.caller, callee = option.callee } = call;
    const mine = this.session.active && id === this.session.id;
    const subject = t("the call of {caller}, {id}", { caller: caller || t("unknown"), id });
    const recording = call.state === "up" ? (RECORDING[call.recording] ?? []) : [];
    return build(
      "li",
      { data: { recording: call.recording ?? "off" } },
      build("span", { class: "tag" }, t(DIRECTIONS[call.direction] ?? kind)),
      who(caller, callee, mine ? t("this page") : [kind, call.trunk, call.user].filter(Boolean).join(" · "), id),
      build("span", { class: "fine" }),
      build(
        "span",
        { class: "actions" },
        this.session.state === "connected" && !mine ? this.joinButton(id) : null,
        ...recording.map((one, at) => this.recordButton(id, one, at, subject)),
        confirmButton({ label: t("End"), sure: t("End it?"), subject, act: () => this.kill(id) }),
      ),
    );
  }

  /** Join this page's call with another one, or part them again. */
  joinButton(id) {
    const joined = this.joined === id;
    const act = () => {
      this.joined = joined ? null : id;
      this.session.send(joined ? { command: "unbridge" } : { command: "bridge", targetSessionId: id });
      this.load();
    };
    return build("button", { type: "button", class: "quiet", on: { click: act } }, t(joined ? "Part" : "Join"));
  }

  /** The first of the buttons keeps the focus when another one takes its place. */
  recordButton(id, { action, label }, at, subject) {
    return build(
      "button",
      { type: "button", class: "quiet", data: { record: `${at} ${id}` }, on: { click: () => this.record(id, action) } },
      t(label),
      build("span", { class: "visually-hidden" }, ` ${subject}`),
    );
  }

  async record(id, action) {
    const body = { command: "record", action, ...(action === "start" && { recorder: RECORDER }) };
    try {
      await this.server.request(`command/${encodeURIComponent(id)}`, { method: "POST", body });
    } catch (error) {
      // 404: it ended by itself in the meantime.
      if (error.status !== 404) return showNotice(t(error.message));
    }
    return this.load();
  }

  async kill(id) {
    try {
      await this.server.request(`call/kill/${encodeURIComponent(id)}`, { method: "POST" });
    } catch (error) {
      // 404: it ended by itself in the meantime, which is what was wanted.
      if (error.status !== 404) showNotice(t(error.message));
    }
    await this.load();
  }
}

function who(caller, callee, note, id) {
  return build(
    "span",
    { class: "who" },
    build("strong", {}, `${caller || t("unknown")} → ${callee || t("unknown")}`),
    build("small", { title: id }, note),
  );
}
