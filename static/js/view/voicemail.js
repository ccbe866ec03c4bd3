/** The messages that callers left: played, marked as heard, deleted. */

import { t } from "../text.js";
import { confirmButton } from "./confirm.js";
import { build, byId, icon } from "./dom.js";
import { clock, moment } from "./format.js";
import { showNotice } from "./notice.js";

export class Voicemail {
  /** @param {import("../server.js").Server} server */
  constructor(server) {
    this.server = server;
    this.audio = byId("voicemail-audio");
    byId("recordings-refresh").addEventListener("click", () => this.load());
  }

  visible(shown) {
    if (shown) this.load();
    else this.audio.pause();
  }

  async load() {
    try {
      this.paint(await this.server.json("voicemail"));
    } catch (error) {
      showNotice(t(error.message));
    }
  }

  paint({ messages, new: fresh }) {
    byId("voicemail-count").textContent = fresh || "";
    byId("voicemail-empty").hidden = messages.length > 0;
    byId("voicemail").replaceChildren(...messages.map((message) => this.row(message)));
  }

  row(message) {
    const { user, caller, createdAt, durationMs, heard } = message;
    const name = `${caller || t("unknown")} → ${user}`;
    const play = { class: "round", "aria-label": t("Play {name}", { name }), on: { click: () => this.play(message) } };
    const mark = { type: "button", class: "quiet", on: { click: () => this.mark(message, !heard) } };
    return build(
      "li",
      { data: { heard: String(heard) } },
      build("button", play, icon("play")),
      build(
        "span",
        { class: "who" },
        build("strong", {}, name),
        build("small", {}, [moment(createdAt), clock(durationMs)].filter(Boolean).join(" · ")),
      ),
      build("span", { class: "tag" }, t(heard ? "Heard" : "New")),
      build(
        "span",
        { class: "actions" },
        build("button", mark, t(heard ? "Mark as new" : "Mark as heard"), build("span", { class: "visually-hidden" }, ` ${name}`)),
        confirmButton({ label: "Delete", sure: "Delete it?", subject: name, act: () => this.remove(message) }),
      ),
    );
  }

  async play(message) {
    this.audio.hidden = false;
    this.audio.src = this.server.fileUrl(path(message)).href;
    try {
      await this.audio.play();
    } catch (error) {
      // Choosing another message aborts this one: nothing to tell.
      if (error.name !== "AbortError") showNotice(t("{name} could not be played: {why}", { name: message.caller, why: error.message }));
      return;
    }
    if (!message.heard) await this.mark(message, true);
  }

  async mark(message, heard) {
    await this.ask(message, { method: "PATCH", body: { heard } });
  }

  async remove(message) {
    await this.ask(message, { method: "DELETE" });
  }

  async ask(message, request) {
    try {
      await this.server.request(path(message), request);
    } catch (error) {
      // 404: it was deleted elsewhere in the meantime.
      if (error.status !== 404) showNotice(t(error.message));
    }
    await this.load();
  }
}

const path = ({ user, id }) => `voicemail/${encodeURIComponent(user)}/${encodeURIComponent(id)}`;
