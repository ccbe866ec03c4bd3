/** The recordings: a list, a player that shows both sides, a download, a deletion. */

import { t } from "../text.js";
import { confirmButton } from "./confirm.js";
import { build, byId, icon } from "./dom.js";
import { bytes, clock, moment } from "./format.js";
import { showNotice } from "./notice.js";
import { Wave } from "./wave.js";

export class Recordings {
  constructor(server) {
    this.server = server;
    this.wave = new Wave(byId("player-wave"), byId("player-audio"));
    byId("recordings-refresh").addEventListener("click", () => this.load());
  }

  visible(shown) {
    if (shown) this.load();
    else byId("player-audio").pause();
  }

  async load() {
    try {
      const [{ recordings }, { calls }] = await Promise.all([
        this.server.json("recordings"),
        this.server.json("calls?limit=200"),
      ]);
      const parties = new Map(
        calls.map(({ id, caller, callee }) => [id, `${caller || t("unknown")} → ${callee || t("unknown")}`]),
      );
      this.paint(recordings.map((each) => ({ ...each, title: parties.get(each.callId) ?? each.name, known: parties.has(each.callId) })));
      showNotice();
    } catch (error) {
      showNotice(error.message);
    }
  }

  paint(recordings) {
    byId("recordings-empty").hidden = recordings.length > 0;
    byId("recordings").replaceChildren(...recordings.map((each) => this.row(each)));
    this.markPlaying();
  }

  row(recording) {
    const { name, title, callId, known, createdAt, durationMs, size } = recording;
    const facts = [
      moment(createdAt),
      Number.isFinite(durationMs) && clock(durationMs),
      bytes(size),
    ];
    return build(
      "li",
      { data: { name } },
      build(
        "button",
        { class: "round", "aria-label": t("Play {name}", { name }), on: { click: () => this.open(recording) } },
        icon("play"),
      ),
      build(
        "span",
        { class: "who" },
        known ? build("a", { href: `#calls/${encodeURIComponent(callId)}`, title: t("The call, with its text") }, title) : build("strong", {}, title),
        build("small", { title: name }, facts.filter(Boolean).join(" · ")),
      ),
      build(
        "a",
        {
          class: "button quiet",
          href: this.server.fileUrl(path(name)).href,
          download: name,
          "aria-label": t("Download {name}", { name }),
        },
        icon("download"),
        build("span", {}, t("Download")),
      ),
      confirmButton({
        label: "Delete",
        sure: "Delete it?",
        subject: name,
        act: () => this.remove(name),
      }),
    );
  }

  async open({ name, title = name }) {
    const audio = byId("player-audio");
    this.playing = name;
    byId("player").hidden = false;
    byId("player-title").textContent = title;
    audio.src = this.server.fileUrl(path(name)).href;
    this.markPlaying();
    const shape = this.wave.load(() => this.server.request(path(name)));
    try {
      await audio.play();
      await shape;
    } catch (error) {
      // Choosing another recording aborts this one: nothing to tell.
      if (error.name !== "AbortError" && this.playing === name)
        showNotice(t("{name} could not be played: {why}", { name, why: error.message }));
    }
  }

  markPlaying() {
    for (const row of byId("recordings").children)
      row.toggleAttribute("data-playing", row.dataset.name === this.playing);
  }

  async remove(name) {
    try {
      await this.server.request(path(name), { method: "DELETE" });
    } catch (error) {
      if (error.status !== 404) showNotice(error.message);
    }
    if (this.playing === name) {
      byId("player-audio").removeAttribute("src");
      byId("player").hidden = true;
      this.playing = null;
    }
    await this.load();
  }
}

const path = (name) => `recordings/${encodeURIComponent(name)}`;
