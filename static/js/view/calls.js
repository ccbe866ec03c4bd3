/** The calls that are up, each with a button that ends it, and those that have been. */

import { confirmButton } from "./confirm.js";
import { build, byId, icon } from "./dom.js";
import { clock, moment } from "./format.js";
import { showNotice } from "./notice.js";

const EVERY_MS = 3000;

export class Calls {
  constructor(session, server) {
    this.session = session;
    this.server = server;
    this.joined = null;
    this.rows = new Map();
    session.addEventListener("state", ({ detail }) => detail.state === "connecting" && (this.joined = null));
    byId("calls-refresh").addEventListener("click", () => this.load());
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
      const [live, past] = await Promise.all([this.server.json("call/lists"), this.server.json("calls")]);
      this.paintLive(live.calls);
      this.paintPast(past.calls);
      showNotice();
    } catch (error) {
      showNotice(error.message);
    }
  }

  paintLive(calls) {
    byId("live-count").textContent = calls.length || "";
    byId("live-empty").hidden = calls.length > 0;
    // A row that says the same stays: its button may have the focus, or be waiting for a second press.
    const rows = new Map();
    for (const call of calls) {
      const key = `${call.id} ${this.session.state} ${this.joined === call.id}`;
      const row = this.rows.get(key) ?? this.liveRow(call);
      row.querySelector(".fine").textContent = [call.state, clock(Date.now() - Date.parse(call.created_at))]
        .filter(Boolean)
        .join(" · ");
      rows.set(key, row);
    }
    this.rows = rows;
    const list = byId("live");
    const shown = [...rows.values()];
    if (shown.length !== list.children.length || shown.some((row, at) => row !== list.children[at]))
      list.replaceChildren(...shown);
  }

  liveRow(call) {
    const { id, call_type: kind, option = {} } = call;
    const { caller = option.caller, callee = option.callee } = call;
    const mine = this.session.active && id === this.session.id;
    return build(
      "li",
      {},
      build("span", { class: "tag" }, kind),
      who(caller, callee, mine ? "this page" : id),
      build("span", { class: "fine" }),
      build(
        "span",
        { class: "actions" },
        this.session.state === "connected" && !mine ? this.joinButton(id) : null,
        confirmButton({
          label: "End",
          sure: "End it?",
          subject: `the call of ${caller || "unknown"}, ${id}`,
          act: () => this.kill(id),
        }),
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
    return build("button", { type: "button", class: "quiet", on: { click: act } }, joined ? "Part" : "Join");
  }

  async kill(id) {
    try {
      await this.server.request(`call/kill/${encodeURIComponent(id)}`, { method: "POST" });
    } catch (error) {
      // 404: it ended by itself in the meantime, which is what was wanted.
      if (error.status !== 404) showNotice(error.message);
    }
    await this.load();
  }

  paintPast(calls) {
    byId("past-empty").hidden = calls.length > 0;
    byId("past").replaceChildren(...calls.map(pastRow));
  }
}

function who(caller, callee, note) {
  return build(
    "span",
    { class: "who" },
    build("strong", {}, `${caller || "unknown"} → ${callee || "unknown"}`),
    build("small", { title: note }, note),
  );
}

function pastRow({ id, type, caller, callee, createdAt, durationMs, reason, recording }) {
  const listen = { class: "button quiet", href: `#recordings/${encodeURIComponent(recording)}` };
  return build(
    "li",
    {},
    build("span", { class: "tag" }, type),
    who(caller, callee, id),
    build("span", { class: "fine" }, [moment(createdAt), clock(durationMs), reason].filter(Boolean).join(" · ")),
    recording ? build("a", listen, icon("play"), "Listen") : build("span"),
  );
}
