/** One call of the past: facts, recording with its text beside it, what happened over time, figures of each leg. */

import { t } from "../text.js";
import { build, byId } from "./dom.js";
import { bytes, clock, moment, offset } from "./format.js";
import { showNotice } from "./notice.js";
import { lineChart } from "./chart.js";
import { Ladder } from "./ladder.js";
import { spansOf, transcriptOf } from "./spans.js";
import { eventRow } from "./timeline.js";
import { Wave } from "./wave.js";
import { sayEnd } from "./words.js";

const LANES = { near: "Caller", far: "Switch", hold: "Hold" };
/** Sides of a transcript that was made of the recording. */
const PARTIES = { caller: "Caller", callee: "Callee" };
/** Events that come by the dozen and say nothing here; the dump has them all. */
const QUIET = new Set(["asrDelta", "binary", "ack", "metrics", "pong"]);
const LIMIT = 1000;
const DIRECTIONS = { inbound: "incoming", outbound: "outgoing" };

export class CallDetail {
  constructor(server) {
    this.server = server;
    this.audio = byId("detail-audio");
    this.wave = new Wave(byId("detail-wave"), this.audio);
    this.ladder = new Ladder(server);
    this.audio.addEventListener("timeupdate", () => this.follow());
    byId("detail-back").addEventListener("click", () => this.close());
  }

  /** Show the record of a call in place of the lists. */
  async open(id) {
    this.id = id;
    byId("detail").hidden = false;
    byId("calls-lists").hidden = true;
    byId("detail-title").textContent = id;
    for (const name of ["facts", "transcript", "lanes", "events", "quality"]) byId(`detail-${name}`).replaceChildren();
    byId("detail-player").hidden = true;
    try {
      const record = await this.server.json(`calls/${encodeURIComponent(id)}`);
      // Where several machines are one switch, only the request itself tells whether one has it.
      const lines = record.dump === false ? [] : await this.dump(id);
      if (this.id !== id) return;
      this.paint(record, lines);
      this.ladder.load(record.sip ? id : "");
      showNotice();
    } catch (error) {
      showNotice(error.status === 404 ? t("There is no record of this call.") : t(error.message));
    }
    byId("detail-back").focus();
  }

  close() {
    if (!this.id) return;
    this.id = "";
    this.stop();
    byId("detail").hidden = true;
    byId("calls-lists").hidden = false;
    history.replaceState(null, "", `${location.pathname}${location.search}#calls`);
  }

  stop() {
    this.audio.pause();
  }

  /** The lines of the dump; none where the call has none. */
  async dump(id) {
    try {
      const text = await (await this.server.request(`dumps/${encodeURIComponent(id)}`)).text();
      return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
    } catch (error) {
      if (error.status === 404) return [];
      throw error;
    }
  }

  paint(record, lines) {
    const { caller, callee, createdAt, answeredAt } = record;
    this.zero = Date.parse(answeredAt ?? createdAt);
    // A recording that was started during the call begins later than the call.
    const started = lines.find(({ event }) => event?.event === "recording" && event.state === "started")?.at;
    this.tape = started ?? (record.recordingAt ? Date.parse(record.recordingAt) : this.zero);
    byId("detail-title").textContent = `${caller || t("unknown")} → ${callee || t("unknown")}`;
    this.paintFacts(record, lines.length > 0);
    this.paintRecording(record.recording);
    this.paintTranscript(textOf(record, lines));
    this.paintLanes(spansOf(lines), lines, record);
    this.paintEvents(lines);
    this.paintQuality(record);
  }

  paintFacts(record, dumped) {
    const { id, type, direction, createdAt, answeredAt, durationMs, reason, codec, trunk, user } = record;
    const ring = answeredAt ? Date.parse(answeredAt) - Date.parse(createdAt) : NaN;
    const facts = [
      ["Began", moment(createdAt)],
      ["Answered after", Number.isFinite(ring) ? `${(ring / 1000).toFixed(1)} s` : t("not answered")],
      ["Length", clock(durationMs)],
      ["How it ended", sayEnd(reason)],
      ["Kind", [type, direction && t(DIRECTIONS[direction] ?? direction)].filter(Boolean).join(", ")],
      ["Codec", codec],
      ["Trunk", trunk],
      ["User", user],
      ["Id", id],
    ];
    byId("detail-facts").replaceChildren(
      ...facts.filter(([, value]) => value).map(([name, value]) => build("div", {}, build("dt", {}, t(name)), build("dd", {}, value))),
    );
    const link = byId("detail-dump");
    link.hidden = !dumped;
    link.href = this.server.fileUrl(`dumps/${encodeURIComponent(id)}`).href;
    link.download = `${id}.jsonl`;
  }

  paintRecording(name) {
    for (const part of [this.audio, this.wave.canvas.parentElement]) part.hidden = !name;
    this.audio.removeAttribute("src");
    if (!name) return;
    const path = `recordings/${encodeURIComponent(name)}`;
    this.audio.src = this.server.fileUrl(path).href;
    this.wave.load(() => this.server.request(path)).catch((error) => showNotice(t(error.message)));
  }

  paintTranscript(said) {
    byId("detail-transcript-none").hidden = said.length > 0;
    byId("detail-transcript").replaceChildren(
      ...said.map(({ at, who, party, text }) =>
        build(
          "li",
          { class: who, data: { at: String((at - this.tape) / 1000) } },
          build("button", { type: "button", class: "quiet", on: { click: () => this.seek(at) } }, clock(Math.max(0, at - this.zero))),
          build("span", { class: "who" }, t(party ?? LANES[who])),
          build("span", { class: "words" }, text),
        ),
      ),
    );
  }

  /** Play the recording from a moment of the call, in ms of its clock. */
  seek(at) {
    if (!this.audio.src || byId("detail-audio").hidden) return;
    this.audio.currentTime = Math.max(0, (at - this.tape) / 1000);
    this.audio.play().catch((error) => error.name === "AbortError" || showNotice(error.message));
  }

  /** Mark the line of the text that is being played. */
  follow() {
    const rows = [...byId("detail-transcript").children];
    const current = this.audio.currentTime > 0 && rows.findLast((row) => Number(row.dataset.at) <= this.audio.currentTime + 0.2);
    for (const row of rows) row.toggleAttribute("data-current", row === current);
  }

  paintLanes(spans, lines, record) {
    const from = Date.parse(record.createdAt);
    const to = Math.max(from + 1, record.endedAt ? Date.parse(record.endedAt) : 0, lines.at(-1)?.at ?? 0);
    byId("detail-player").hidden = !record.recording && !spans.length;
    const lanes = Object.keys(LANES).filter((lane) => spans.some((span) => span.lane === lane));
    byId("detail-lanes").replaceChildren(
      ...lanes.map((lane) => {
        const own = spans.filter((span) => span.lane === lane);
        const sum = own.reduce((all, span) => all + span.to - span.from, 0);
        return build(
          "li",
          { data: { lane } },
          build("span", { class: "fine" }, t(LANES[lane])),
          build("span", { class: "lane-track" }, ...own.map((span) => this.span(span, from, to))),
          build("span", { class: "fine" }, `${(sum / 1000).toFixed(1)} s`),
        );
      }),
    );
  }

  span({ from, to, text }, first, last) {
    const bar = build("button", {
      type: "button",
      title: text || null,
      "aria-label": `${offset(from - this.zero).trim()} ${text}`.trim(),
      on: { click: () => this.seek(from) },
    });
    bar.style.left = `${(100 * (from - first)) / (last - first)}%`;
    bar.style.width = `${Math.max(0.4, (100 * (to - from)) / (last - first))}%`;
    return bar;
  }

  paintEvents(lines) {
    const shown = lines.filter(({ event }) => event && !QUIET.has(event.event)).slice(0, LIMIT);
    byId("detail-events-none").hidden = shown.length > 0;
    byId("detail-events").replaceChildren(
      ...shown.map(({ at, event }) => eventRow(event, at - this.zero, event.event === "trackEnd" ? event.duration : NaN, t("duration"))),
    );
  }

  /** The figures of each leg, and charts of those that were measured over time. */
  paintQuality({ statistics = {}, quality = [] }) {
    const measured = new Map(quality.map((leg) => [leg.leg, leg]));
    const legs = Object.entries(statistics).filter(([, figures]) => figures && typeof figures === "object");
    for (const { leg } of quality) if (!legs.some(([name]) => name === leg)) legs.push([leg, {}]);
    byId("detail-quality-none").hidden = legs.length > 0;
    byId("detail-quality").replaceChildren(...legs.map(([leg, figures]) => this.leg(leg, figures, measured.get(leg))));
  }

  leg(name, figures, quality) {
    return build(
      "section",
      {},
      build("h3", {}, name === "party" ? t("First party") : t("Leg {name}", { name })),
      quality ? build("p", { class: "fine" }, said(quality)) : null,
      quality
        ? build("div", { class: "charts" }, ...SERIES.map(({ title, field, ...scale }) => lineChart(t(title), values(quality, field), scale, (at) => this.seek(quality.at[at]))))
        : null,
      build(
        "dl",
        { class: "figures" },
        ...Object.entries(figures)
          .filter(([, value]) => typeof value !== "object")
          .map(([key, value]) => build("div", {}, build("dt", {}, t(FIGURES[key] ?? key.replaceAll("_", " "))), build("dd", {}, figure(key, value)))),
      ),
    );
  }
}

/** What is drawn of each leg over time; `low` and `high` are the least range of the axis. */
const SERIES = [
  { title: "MOS (estimate)", field: "mos", low: 1, high: 4.5, unit: "" },
  { title: "Loss received", field: "loss_percent", low: 0, high: 5, unit: " %" },
  { title: "Loss sent", field: "far_loss_percent", low: 0, high: 5, unit: " %" },
  { title: "Jitter", field: "jitter_ms", low: 0, high: 40, unit: " ms" },
  { title: "Round trip", field: "round_trip_ms", low: 0, high: 200, unit: " ms" },
  { title: "Buffer", field: "delay_ms", low: 0, high: 100, unit: " ms" },
];

/** What is measured of a leg, by its name in the record. */
const FIGURES = {
  packets_received: "Packets received",
  packets_sent: "Packets sent",
  packets_lost: "Packets lost",
  packets_late: "Packets too late",
  packets_rejected: "Packets refused",
  octets_received: "Data received",
  octets_sent: "Data sent",
  concealed_ms: "Gaps filled",
  jitter_ms: "Jitter",
  delay_ms: "Buffer",
  round_trip_ms: "Round trip",
  far_loss_percent: "Loss sent",
  received_ms: "Sound received",
  sent_ms: "Sound sent",
  dropped_ms: "Sound dropped",
  underruns: "Times without sound",
  mended_ms: "Sound mended",
  caught_up_ms: "Sound caught up",
};

/** A round trip of 0 is unknown. */
const values = (quality, field) => quality[field].map((value) => (field === "round_trip_ms" && value === 0 ? NaN : value));

/** Codec and way of the media, with their changes, and the length of an interval. */
function said({ codecs, paths, step_s: seconds }) {
  const chain = (changes) => changes.map(({ value }) => value).join(" → ");
  return [chain(codecs), chain(paths), t("a point each {seconds} s", { seconds })].filter(Boolean).join(" · ");
}

/** The transcript that the record has where the settings keep one: times from the answer on. */
function storedTranscript({ transcript, answeredAt, createdAt }) {
  const zero = Date.parse(answeredAt ?? createdAt);
  return (transcript?.turns ?? []).map(({ party, start_ms: start, text }) => ({
    at: zero + start,
    who: party === "caller" ? "near" : "far",
    party: PARTIES[party],
    text,
  }));
}

/**
 * What was said. A transcript that was made of the recording has both sides; the messages have what was recognised
 * of one side while the call went on, and what the switch said.
 */
function textOf(record, lines) {
  const stored = storedTranscript(record);
  const both = new Set(stored.map(({ who }) => who)).size > 1;
  const told = transcriptOf(lines);
  return both || !told.length ? stored : told;
}

function figure(name, value) {
  if (typeof value !== "number") return String(value);
  if (name.startsWith("octets_")) return bytes(value);
  if (name.endsWith("_percent")) return `${value.toFixed(1)} %`;
  const text = Number.isInteger(value) ? value.toLocaleString() : value.toFixed(2);
  return name.endsWith("_ms") ? `${Math.round(value).toLocaleString()} ms` : text;
}
