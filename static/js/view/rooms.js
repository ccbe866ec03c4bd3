/** Rooms: make one, join it, see who speaks, mute, record, let the switch speak, leave. */

import { t } from "../text.js";
import { confirmButton } from "./confirm.js";
import { build, byId } from "./dom.js";
import { showNotice } from "./notice.js";
import { whileShown } from "./while-shown.js";

const EVERY_MS = 2000;
const STATES = { created: "Empty", waiting: "Waiting", active: "Talking" };

export class Rooms {
  /**
   * @param {import("../call/room.js").RoomSession} session
   * @param {import("../server.js").Server} server
   */
  constructor(session, server) {
    Object.assign(this, { session, server });
    byId("rooms-refresh").addEventListener("click", () => this.load());
    byId("room-new").addEventListener("submit", (event) => this.create(event));
    byId("room-mute").addEventListener("click", () => session.mute(!session.muted));
    byId("room-record").addEventListener("click", () => this.record());
    byId("room-leave").addEventListener("click", () => session.leave());
    byId("room-say").addEventListener("submit", (event) => this.speak(event));
    session.addEventListener("change", () => this.paintInside());
    session.addEventListener("trouble", ({ detail }) => showNotice(detail));
    this.paintInside();
  }

  visible = whileShown(() => this.load(), EVERY_MS);

  get form() {
    return new FormData(byId("room-new"));
  }

  async load() {
    try {
      const { data } = await this.server.json("api/v1/rooms?limit=100");
      this.paint(data.filter(({ status }) => status !== "closed"));
    } catch (error) {
      showNotice(error.message);
    }
  }

  async create(event) {
    event.preventDefault();
    const form = this.form;
    const settings = { topology: form.get("topology") };
    if (settings.topology === "mix" && form.get("record")) settings.recording = { enabled: true };
    try {
      const body = { name: form.get("name") || "Room", settings };
      const room = await this.server.json("api/v1/rooms", { method: "POST", body });
      await this.join(room.id);
      await this.load();
    } catch (error) {
      showNotice(error.message);
    }
  }

  async join(id) {
    showNotice();
    await this.session.join(id, this.form.get("person"));
  }

  async change(path, options) {
    try {
      await this.server.request(`api/v1/rooms/${encodeURIComponent(this.session.room)}${path}`, options);
      return true;
    } catch (error) {
      showNotice(error.message);
      return false;
    }
  }

  async record() {
    const enabled = !this.session.recording;
    if (await this.change("", { method: "PATCH", body: { settings: { recording: { enabled } } } })) {
      this.session.recording = enabled;
      this.paintInside();
    }
  }

  async speak(event) {
    event.preventDefault();
    const field = byId("room-text");
    const text = field.value.trim();
    if (text && (await this.change("/commands", { method: "POST", body: { command: "tts", text } }))) field.value = "";
  }

  // --- painting -----------------------------------------------------------------------

  paint(rooms) {
    byId("rooms-count").textContent = rooms.length || "";
    byId("rooms-empty").hidden = rooms.length > 0;
    const seen = JSON.stringify([rooms, this.session.room, this.session.state]);
    // A row stays as it is while nothing changes: a button in it may have the focus.
    if (seen === this.seen) return;
    this.seen = seen;
    byId("rooms").replaceChildren(...rooms.map((room) => this.row(room)));
  }

  row({ id, name, status, participants_count: count }) {
    const here = this.session.state !== "outside" && this.session.room === id;
    const join = build("button", { type: "button", disabled: here, on: { click: () => this.join(id) } }, t(here ? "You are in" : "Join"));
    join.append(build("span", { class: "visually-hidden" }, ` ${name}`));
    return build(
      "li",
      { data: { state: status, room: id } },
      build("span", { class: "tag" }, t(STATES[status] ?? status)),
      build("span", { class: "who" }, build("strong", {}, name || t("Room")), build("small", {}, id)),
      build("span", { class: "fine" }, t(count === 1 ? "1 person" : "{count} people", { count })),
      build(
        "span",
        { class: "actions" },
        join,
        confirmButton({ label: "Close", sure: "Close it?", subject: name, act: () => this.close(id) }),
      ),
    );
  }

  async close(id) {
    try {
      await this.server.request(`api/v1/rooms/${encodeURIComponent(id)}`, { method: "DELETE" });
    } catch (error) {
      if (error.status !== 404) showNotice(error.message);
    }
    await this.load();
  }

  paintInside() {
    const { session } = this;
    const inside = session.state === "inside";
    byId("room-inside").hidden = session.state === "outside";
    byId("room-title").textContent = inside ? session.title : t("Joining…");
    byId("room-topology").textContent = !inside ? "" : t(session.mixed ? "Mixed by the switch" : "Peer to peer");
    byId("room-mute").setAttribute("aria-pressed", String(session.muted));
    byId("room-mute").querySelector("span").textContent = t(session.muted ? "Unmute" : "Mute");
    byId("room-record").hidden = byId("room-say").hidden = !inside || !session.mixed;
    byId("room-record").setAttribute("aria-pressed", String(Boolean(session.recording)));
    byId("room-record").querySelector("span").textContent = t(session.recording ? "Stop recording" : "Record");
    byId("room-people").replaceChildren(...[...session.people].map(([id, person]) => personRow(person, id === session.id, session)));
  }
}

function personRow({ name, speaking, muted }, me, session) {
  const quiet = me ? session.muted : muted;
  const words = quiet ? "Muted" : speaking ? "Speaking" : me ? "You" : "Listening";
  return build(
    "li",
    { data: { speaking: String(Boolean(speaking)), muted: String(Boolean(quiet)), me: String(me) } },
    build("span", { class: "tag" }, t(words)),
    build("span", { class: "who" }, build("strong", {}, name)),
  );
}
