/** The calls that have been: filters, page by page, as a file for a spreadsheet. */

import { t } from "../text.js";
import { build, byId, icon } from "./dom.js";
import { clock, moment } from "./format.js";
import { showNotice } from "./notice.js";
import { sayEnd } from "./words.js";

const PAGE = 50;
const DIRECTIONS = { inbound: "Incoming", outbound: "Outgoing" };

export class History {
  constructor(server) {
    this.server = server;
    this.cursor = "";
    this.count = 0;
    const form = byId("history-form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.load();
    });
    form.addEventListener("reset", () => setTimeout(() => this.load()));
    byId("history-more").addEventListener("click", () => this.more());
    // On a phone the calls matter more than the filters.
    byId("history-filters").open = matchMedia("(min-width: 1000px)").matches;
  }

  /** What is asked for, as the query of `GET /calls`. */
  get filters() {
    const asked = {};
    for (const { name, value, type } of byId("history-form").elements) {
      if (!name || !value.trim()) continue;
      asked[name] = type === "datetime-local" ? new Date(value).toISOString() : value.trim();
    }
    return asked;
  }

  get filtered() {
    return Object.keys(this.filters).length > 0;
  }

  async load() {
    await this.read((rows) => byId("past").replaceChildren(...rows), {});
  }

  async more() {
    await this.read((rows) => byId("past").append(...rows), this.cursor ? { cursor: this.cursor } : { offset: this.count });
  }

  async read(show, place) {
    try {
      const asked = { ...this.filters, limit: PAGE };
      const { calls, cursor = "" } = await this.server.json(this.path({ ...asked, ...place }));
      this.cursor = cursor;
      this.count = (place.offset ?? 0) + calls.length;
      show(calls.map(pastRow));
      byId("history-more").hidden = !cursor && calls.length < PAGE;
      byId("past-empty").hidden = byId("past").children.length > 0;
      byId("past-empty").firstElementChild.textContent = t(this.filtered ? "No call fits" : "No calls on record");
      byId("history-csv").href = this.server.fileUrl(this.path({ ...this.filters, format: "csv" })).href;
      showNotice();
    } catch (error) {
      showNotice(t(error.message));
    }
  }

  path(query) {
    return `calls?${new URLSearchParams(query)}`;
  }
}

function pastRow({ id, type, direction, caller, callee, createdAt, answeredAt, durationMs, reason, recording, trunk, user }) {
  const listen = { class: "button quiet", href: `#recordings/${encodeURIComponent(recording)}` };
  const parties = `${caller || t("unknown")} → ${callee || t("unknown")}`;
  return build(
    "li",
    { data: { answered: String(Boolean(answeredAt)) } },
    build("span", { class: "tag" }, t(DIRECTIONS[direction] ?? type)),
    build(
      "span",
      { class: "who" },
      build("a", { href: `#calls/${encodeURIComponent(id)}` }, parties),
      build("small", { title: id }, [type, trunk, user].filter(Boolean).join(" · ")),
    ),
    build(
      "span",
      { class: "fine" },
      [moment(createdAt), ...(durationMs ? [clock(durationMs)] : [])].map((part) => `${part} · `).join(""),
      build("span", { class: "end" }, sayEnd(reason)),
    ),
    recording ? build("a", listen, icon("play"), build("span", {}, t("Listen"))) : build("span"),
  );
}
