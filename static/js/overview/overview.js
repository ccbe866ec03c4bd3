/** The first view of an operator: calls now and today, how they ended, trunks, times, and what is wrong, in words. */

import { t } from "../text.js";
import { build, byId } from "../view/dom.js";
import { bytes, milliseconds } from "../view/format.js";
import { showNotice } from "../view/notice.js";
import { sayEnd, sayTrunk } from "../view/words.js";
import { Queues } from "./queues.js";
import { POOR_MOS, alarms, lastHours, parseMetrics, quantile, summary, total } from "./figures.js";

/** Time until a stream that broke is opened again. */
const AGAIN_MS = 3000;

export class Overview {
  constructor(server) {
    this.server = server;
    this.before = null;
    this.hours = [];
    this.queues = new Queues(server);
    byId("overview-refresh").addEventListener("click", () => this.follow());
  }

  visible(shown) {
    this.queues.visible(shown);
    if (shown) this.follow();
    else this.leave();
  }

  leave() {
    this.stream?.abort();
    clearTimeout(this.timer);
  }

  /** Follow the switch as it tells, every two seconds; the last hours come from its database. */
  async follow() {
    this.leave();
    const stream = (this.stream = new AbortController());
    let problem = "The switch cannot be reached.";
    try {
      await this.server.stream("admin/overview/events", stream.signal, (name, data) => this.take(name, data));
    } catch (error) {
      problem = error.message;
    }
    if (stream.signal.aborted) return;
    showNotice(t(problem));
    this.timer = setTimeout(() => this.follow(), AGAIN_MS);
  }

  take(name, data) {
    if (name === "hours") this.hours = data.hours;
    else this.present = { ...data, metrics: parseMetrics(data.metrics) };
    if (this.present) this.paint(this.present, name === "now");
    showNotice();
  }

  paint({ health, metrics, calls, trunks, quality }, fresh) {
    const today = summary(this.hours, new Date().setHours(0, 0, 0, 0));
    this.paintAlarms(alarms({ health, trunks, quality, metrics, before: this.before, today }));
    const setup = quantile(metrics, null, "answer_seconds", 0.5);
    const tick = quantile(metrics, this.before, "media_tick_seconds", 0.99);
    const speech = quantile(metrics, null, "speech_seconds", 0.5, ({ stage }) => stage === "ttfb.tts");
    const devices = total(metrics, "sip_devices");
    const up = trunks.filter(({ state }) => state === "registered" || state === "ready").length;
    const tiles = [
      ["Calls now", String(calls), ""],
      ["Calls today", String(today.calls), ""],
      ["Answered today", today.calls ? `${Math.round((100 * today.answered) / today.calls)} %` : "–", today.calls ? String(today.answered) : ""],
      ["Failed today", String(today.failed), ""],
      ["Time to answer", milliseconds(setup * 1000), t("median since the start")],
      ["Speech begins after", milliseconds(speech * 1000), t("median since the start")],
      ["Telephones", Number.isFinite(devices) ? String(devices) : "–", t("registered")],
      ["Trunks up", trunks.length ? `${up} / ${trunks.length}` : "–", ""],
      ["Work a tick", milliseconds(tick * 1000), t("99 % are below, of 20 ms")],
      ["Memory", bytes(total(metrics, "process_resident_memory_bytes")), ""],
    ];
    byId("tiles").replaceChildren(
      ...tiles.map(([label, value, note]) =>
        build("div", {}, build("dt", {}, t(label)), build("dd", {}, build("strong", {}, value), note ? build("small", {}, note) : null)),
      ),
    );
    if (fresh) this.before = metrics;
    paintHours(lastHours(this.hours, Date.now()));
    paintReasons(today);
    paintTrunks(trunks, quality);
  }

  paintAlarms(found) {
    const list = byId("alarms");
    const rows = found.map(({ level, text, values }) => build("li", { data: { level } }, t(text, values)));
    // Screen readers hear the list again only when it says something else.
    if (rows.map((row) => row.textContent).join() !== [...list.children].map((row) => row.textContent).join() || !this.told) list.replaceChildren(...rows);
    this.told = true;
    byId("alarms-none").hidden = found.length > 0;
  }
}

function paintHours(hours) {
  const most = Math.max(1, ...hours.map(({ answered, failed }) => answered + failed));
  byId("hours").replaceChildren(
    ...hours.map(({ at, answered, failed }) => {
      const hour = new Date(at).getHours();
      return build(
        "div",
        { title: t("{hour} o'clock: {answered} answered, {failed} failed", { hour, answered, failed }) },
        build("div", { class: "bars" }, bar("failed", failed, most), bar("answered", answered, most)),
        build("span", {}, hour % 6 ? "" : String(hour)),
      );
    }),
  );
  const sum = (name) => hours.reduce((all, hour) => all + hour[name], 0);
  byId("hours").setAttribute("aria-label", t("Calls by hour: {answered} answered, {failed} failed", { answered: sum("answered"), failed: sum("failed") }));
}

/** The state of each trunk, with the quality of its calls in the last minute. */
function paintTrunks(trunks, quality) {
  const measured = new Map(quality.map((one) => [one.name, one]));
  const names = [...new Set([...trunks.map(({ name }) => name), ...measured.keys()])];
  byId("trunks-card").hidden = !names.length;
  byId("overview-trunks").replaceChildren(
    ...names.map((name) => {
      const trunk = trunks.find((one) => one.name === name);
      const found = measured.get(name);
      const poor = found && found.mos < POOR_MOS;
      const cells = found
        ? [`MOS ${found.mos.toFixed(1)}`, t("{percent} % lost", { percent: Math.max(found.loss_percent, found.far_loss_percent).toFixed(1) }), `${t("Jitter")} ${milliseconds(found.jitter_ms)}`, found.round_trip_ms ? `${t("Round trip")} ${milliseconds(found.round_trip_ms)}` : ""]
        : [t("no calls in the last minute")];
      return build(
        "li",
        { data: { poor: String(Boolean(poor)), state: trunk?.state ?? "" } },
        build("span", { class: "tag" }, trunk ? sayTrunk(trunk.state) : ""),
        build("span", { class: "who" }, build("strong", {}, name)),
        build("span", { class: "fine" }, cells.filter(Boolean).join(" · ")),
      );
    }),
  );
}

function bar(kind, count, most) {
  const element = build("i", { class: kind });
  element.style.height = `${(100 * count) / most}%`;
  return element;
}

function paintReasons({ failed, reasons }) {
  byId("reasons-none").hidden = failed > 0;
  byId("reasons").replaceChildren(
    ...reasons.map(([reason, count]) =>
      build("li", {}, build("span", {}, sayEnd(reason)), build("meter", { min: 0, max: failed, value: count, "aria-label": sayEnd(reason) }), build("b", {}, String(count))),
    ),
  );
}
