/** The queues: who waits now, which users are free, and how callers fared since the start. */

import { t } from "../text.js";
import { build, byId } from "../view/dom.js";
import { clock } from "../view/format.js";

const EVERY_MS = 2000;

export class Queues {
  constructor(server) {
    this.server = server;
  }

  /** Keep the list fresh while it is looked at. */
  visible(shown) {
    clearInterval(this.timer);
    if (!shown) return;
    this.load();
    this.timer = setInterval(() => this.load(), EVERY_MS);
  }

  async load() {
    try {
      const { queues } = await this.server.json("queues");
      byId("queues-card").hidden = !queues.length;
      byId("queues").replaceChildren(...queues.map(row));
    } catch {
      // What is wrong the overview says.
      byId("queues-card").hidden = true;
    }
  }
}

function row({ name, users, free, waiting, callers, answered, abandoned, timedOut, meanWaitMs, longestWaitMs }) {
  const facts = [
    t("{count} answered", { count: answered }),
    t("{count} gave up", { count: abandoned + timedOut }),
    answered ? t("wait {mean}, at most {longest}", { mean: clock(meanWaitMs), longest: clock(longestWaitMs) }) : "",
  ];
  return build(
    "li",
    { data: { waiting: String(waiting > 0), unstaffed: String(waiting > 0 && !free.length) } },
    build("span", { class: "tag" }, t(waiting === 1 ? "1 waits" : "{count} wait", { count: waiting })),
    build(
      "span",
      { class: "who" },
      build("strong", {}, name),
      build("small", {}, callers.map(({ caller, ringing }) => (ringing ? `${caller} → ${ringing}` : caller)).join(", ")),
    ),
    build("span", { class: "fine" }, facts.filter(Boolean).join(" · ")),
    build("span", { class: "fine", title: free.join(", ") }, t("{free} of {all} users free", { free: free.length, all: users.length })),
  );
}
