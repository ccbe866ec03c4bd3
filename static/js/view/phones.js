/** Telephones: the calls that ring here, the trunks and the extensions with their state. */

import { t } from "../text.js";
import { answerFor } from "../call/line.js";
import { confirmButton } from "./confirm.js";
import { build, byId } from "./dom.js";
import { showNotice } from "./notice.js";
import { whileShown } from "./while-shown.js";
import { sayTrunk } from "./words.js";

const EVERY_MS = 2000;

export class Phones {
  /**
   * @param {import("../call/session.js").Session} session
   * @param {import("../server.js").Server} server
   * @param {() => object} readOptions what the call form asks for.
   */
  constructor(session, server, readOptions) {
    Object.assign(this, { session, server, readOptions });
    this.waiting = new Map();
    byId("phones-refresh").addEventListener("click", () => this.load());
  }

  visible = whileShown(() => this.load(), EVERY_MS);

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
    const name = caller || t("unknown");
    const answer = (label, act) =>
      build("button", { type: "button", on: { click: act } }, t(label), build("span", { class: "visually-hidden" }, ` ${name}`));
    return build(
      "li",
      {},
      build("span", { class: "tag" }, t("calls")),
      build("span", { class: "who" }, build("strong", {}, `${name} → ${callee || t("unknown")}`), build("small", {}, id)),
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
    const options = this.readOptions();
    await this.session.call({ ...options, transport: "webrtc", codec: "", greeting: "", option: { callee: "telephone" } });
    if (this.session.active) answerFor(this.session, id);
  }

  /** Let the switch greet and listen, as in the call form. */
  letTheSwitch(id) {
    const options = this.readOptions();
    this.session.call({ ...options, transport: "sip", codec: "", take: id });
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
  const words = [trouble && code ? code : "", trouble ? reason : "", t(calls === 1 ? "1 call" : "{count} calls", { count: calls ?? 0 })];
  return build(
    "li",
    { data: { state } },
    build("span", { class: "tag" }, sayTrunk(state)),
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
    build("span", { class: "tag" }, t(registered ? "Registered" : "Away")),
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
