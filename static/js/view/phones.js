/** Telephones: the calls that ring here, the trunks and the extensions with their state. */

import { answerFor } from "../call/line.js";
import { confirmButton } from "./confirm.js";
import { build, byId } from "./dom.js";
import { showNotice } from "./notice.js";

const EVERY_MS = 2000;

const TRUNK_STATES = {
  registered: "Registered",
  registering: "Registering",
  failed: "Failed",
  unregistered: "Signed off",
  ready: "Ready",
  unresolved: "Not found",
};

export class Phones {
  /**
   * @param {import("../call/session.js").Session} session
   * @param {import("../server.js").Server} server
   * @param {() => object} readWish what the call form asks for.
   */
  constructor(session, server, readWish) {
    Object.assign(this, { session, server, readWish });
    this.waiting = new Map();
    byId("phones-refresh").addEventListener("click", () => this.load());
  }

  /** Keep the lists fresh while they are looked at. */
  visible(shown) {
    clearInterval(this.timer);
    if (!shown) return;
    this.load();
    this.timer = setInterval(() => this.load(), EVERY_MS);
  }

  async load() {
    try {
      const [live, trunks, users] = await Promise.all([
        this.server.json("call/lists"),
        this.server.json("admin/trunks"),
        this.server.json("admin/users"),
      ]);
      this.paintWaiting(live.calls.filter(({ state }) => state === "pending" || state === "ringing"));
      paint("trunks", trunks.trunks.map(trunkRow));
      paint("users", users.users.map(userRow));
      showNotice();
    } catch (error) {
      showNotice(error.message);
    }
  }

  paintWaiting(calls) {
    byId("waiting-count").textContent = calls.length || "";
    // A row stays as it is while its call waits: a button in it may have the focus.
    const rows = new Map();
    for (const call of calls) rows.set(call.id, this.waiting.get(call.id) ?? this.waitingRow(call));
    const same = rows.size === this.waiting.size && [...rows.keys()].every((id) => this.waiting.has(id));
    this.waiting = rows;
    byId("waiting-empty").hidden = rows.size > 0;
    if (!same) byId("waiting").replaceChildren(...rows.values());
  }

  waitingRow({ id, caller, callee }) {
    const name = caller || "unknown";
    const answer = (label, act) =>
      build("button", { type: "button", on: { click: act } }, label, build("span", { class: "visually-hidden" }, ` ${name}`));
    return build(
      "li",
      {},
      build("span", { class: "tag" }, "calls"),
      build("span", { class: "who" }, build("strong", {}, `${name} → ${callee || "unknown"}`), build("small", {}, id)),
      build("span", {}),
      build(
        "span",
        { class: "actions" },
        answer("Answer", () => this.answerHere(id)),
        answer("Let the switch answer", () => this.letTheSwitch(id)),
        confirmButton({ label: "Reject", sure: "Reject?", subject: name, act: () => this.reject(id) }),
      ),
    );
  }

  /** Answer with this browser's microphone and speaker. */
  async answerHere(id) {
    const wish = this.readWish();
    await this.session.call({ ...wish, way: "webrtc", codec: "", greeting: "", option: { callee: "telephone" } });
    if (this.session.active) answerFor(this.session, id);
  }

  /** Let the switch greet and listen, as in the call form. */
  letTheSwitch(id) {
    const wish = this.readWish();
    this.session.call({ ...wish, way: "sip", codec: "", take: id });
  }

  async reject(id) {
    try {
      await this.server.request(`command/${encodeURIComponent(id)}`, {
        method: "POST",
        body: { command: "reject", code: 486, reason: "Busy Here" },
      });
    } catch (error) {
      if (error.status !== 404) showNotice(error.message);
    }
    await this.load();
  }
}

function paint(name, rows) {
  byId(`${name}-empty`).hidden = rows.length > 0;
  byId(name).replaceChildren(...rows);
}

function trunkRow({ name, engine, state, code, reason, server, calls }) {
  const trouble = state === "failed" || state === "unresolved";
  const words = [trouble && code ? code : "", trouble ? reason : "", `${calls} ${calls === 1 ? "call" : "calls"}`];
  return build(
    "li",
    { data: { state } },
    build("span", { class: "tag" }, TRUNK_STATES[state] ?? state),
    build(
      "span",
      { class: "who" },
      build("strong", {}, name),
      build("small", {}, [server, engine === "builtin" ? "" : engine].filter(Boolean).join(" · ")),
    ),
    build("span", { class: "fine" }, words.filter(Boolean).join(" · ")),
    build("span", {}),
  );
}

function userRow({ name, registered, contacts = [] }) {
  return build(
    "li",
    { data: { state: registered ? "registered" : "away" } },
    build("span", { class: "tag" }, registered ? "Registered" : "Away"),
    build(
      "span",
      { class: "who" },
      build("strong", {}, name),
      build("small", {}, contacts.map(({ address, transport }) => `${transport} ${address}`).join(", ")),
    ),
    build("span", { class: "fine" }, contacts.map((contact) => contact.user_agent).filter(Boolean).join(", ")),
    build("span", {}),
  );
}
