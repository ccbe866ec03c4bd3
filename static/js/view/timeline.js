/** The call as a list of moments, with a bar where something took time. */

import { t } from "../text.js";
import { build, byId, followEnd } from "./dom.js";
import { milliseconds, offset } from "./format.js";
import { KINDS, Latency } from "./latency.js";
import { sayEnd } from "./words.js";

const LIMIT = 400;
/** A full bar, ms. */
const FULL_MS = 1500;
/** Events that come by the dozen and say nothing new here; the messages panel has them all. */
const QUIET = new Set(["asrDelta", "binary", "ack"]);

const FAMILIES = {
  call: ["answer", "ringing", "incoming", "reject", "hangup", "hold", "mute", "candidate", "transferRequest", "media", "resumed"],
  near: ["speaking", "silence", "asrFinal", "dtmf", "eou", "collect"],
  far: ["trackStart", "trackEnd", "interruption", "mark", "addHistory"],
  wrong: ["error", "unreadable"],
};

const WORDS = {
  answer: () => t("answered"),
  resumed: () => t("the same call goes on"),
  ringing: ({ earlyMedia }) => (earlyMedia ? t("with early media") : ""),
  incoming: ({ caller }) => t("from {name}", { name: caller ?? t("unknown") }),
  reject: ({ code, reason }) => [code, reason].filter(Boolean).join(" "),
  hangup: ({ reason }) => sayEnd(reason),
  silence: ({ duration }) => (duration ? t("for {time}", { time: milliseconds(duration) }) : ""),
  asrFinal: ({ text }) => `“${text ?? ""}”`,
  dtmf: ({ digit, method }) => [digit, method].filter(Boolean).join(" by "),
  trackStart: ({ playId }) => playId,
  trackEnd: ({ playId, duration }) => [playId, duration && t("after {time}", { time: milliseconds(duration) })].filter(Boolean).join(" "),
  interruption: ({ playId, position }) =>
    [playId, position !== undefined && t("at {time}", { time: milliseconds(position) })].filter(Boolean).join(" "),
  error: ({ sender, error }) => [sender, error].filter(Boolean).join(": "),
  metrics: ({ key }) => key,
  mark: ({ name, status }) => [name, status].filter(Boolean).join(" "),
  collect: ({ digits, reason }) => [digits, reason].filter(Boolean).join(", "),
  eou: ({ text }) => text,
  hold: ({ onHold }) => t(onHold ? "on" : "off"),
  mute: ({ muted }) => t(muted ? "on" : "off"),
  media: ({ state, seconds }) => [state, seconds && t("for {time}", { time: `${seconds} s` })].filter(Boolean).join(" "),
  addHistory: ({ text }) => text,
  transferRequest: ({ referTo }) => t("to {name}", { name: referTo }),
  message: ({ body }) => body,
  custom: ({ sender }) => sender,
};

export class Timeline {
  constructor(session, ribbon) {
    this.session = session;
    this.ribbon = ribbon;
    this.list = byId("timeline");
    this.latency = new Latency();
    session.addEventListener(
      "state",
      ({ detail }) => detail.state === "connecting" && !this.session.answeredAt && this.clear(),
    );
    session.addEventListener("sent", ({ detail }) => this.latency.sent(detail, performance.now()));
    session.addEventListener("event", ({ detail }) => this.heard(detail));
    this.clear();
  }

  clear() {
    this.began = performance.now();
    this.latency.clear();
    this.list.replaceChildren();
    this.list.hidden = true;
    byId("timeline-empty").hidden = false;
    this.paintLatencies();
  }

  heard(event) {
    const now = performance.now();
    const taken = this.latency.heard(event, now);
    this.markRibbon(event);
    if (taken) this.paintLatencies();
    if (QUIET.has(event.event)) return;
    const ms = event.event === "metrics" ? event.duration : taken?.ms;
    followEnd(this.list, () => {
      this.list.append(eventRow(event, now - this.began, ms, t(KINDS[taken?.kind]?.label ?? "duration")));
      if (this.list.children.length > LIMIT) this.list.firstChild.remove();
    });
    this.list.hidden = false;
    byId("timeline-empty").hidden = true;
  }

  markRibbon({ event, digit }) {
    if (event === "dtmf") this.ribbon.mark(String(digit));
    if (event === "interruption") this.ribbon.mark("✕");
  }

  paintLatencies() {
    byId("latencies").replaceChildren(
      ...Object.entries(KINDS).map(([kind, { label, detail, good }]) => {
        const summary = this.latency.summary(kind);
        return build(
          "li",
          { title: `${t(label)}: ${t(detail)}` },
          build("span", { class: "label" }, t(label)),
          build("strong", {}, summary ? milliseconds(summary.last) : "–"),
          build("span", { class: "fine" }, summary ? t("median {time}", { time: milliseconds(summary.median) }) : t(detail)),
          spark(summary?.values ?? [], good),
        );
      }),
    );
  }
}

/** An event as a line: when it came, its name, its words, and a bar where it took time. */
export function eventRow(event, at, ms, label) {
  const name = String(event.event ?? "unnamed");
  const family = Object.keys(FAMILIES).find((each) => FAMILIES[each].includes(name)) ?? "other";
  return build(
    "li",
    { data: { family } },
    build("time", {}, offset(at)),
    build("b", {}, name),
    build("span", { class: "detail" }, String(WORDS[name]?.(event) ?? "")),
    Number.isFinite(ms) ? latencyBar(ms, label) : null,
  );
}

function latencyBar(ms, label) {
  return build(
    "span",
    { class: "bar-cell" },
    build("meter", { min: 0, max: FULL_MS, value: Math.min(ms, FULL_MS), "aria-label": label }),
    build("span", {}, milliseconds(ms)),
  );
}

/** The last measurements as columns; beyond `good` a column is drawn in the warning colour. */
function spark(values, good) {
  const most = Math.max(good, ...values);
  const columns = values.map((value) => {
    const column = build("i", { class: value > good ? "slow" : "" });
    column.style.height = `${Math.max(8, (100 * value) / most)}%`;
    return column;
  });
  return build("span", { class: "spark", "aria-hidden": "true" }, ...columns);
}
