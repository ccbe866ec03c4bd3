/** The state of the path: what the browser measures on a WebRTC call, what the worklet counts on a WebSocket call. */

import { t } from "../text.js";
import { build, byId } from "./dom.js";
import { bytes, milliseconds } from "./format.js";

const EVERY_MS = 1000;

export class Network {
  constructor(session) {
    this.session = session;
    this.before = null;
    session.addEventListener("state", ({ detail }) => this.follow(detail.state));
    this.paint([]);
  }

  follow(state) {
    if (state === "connected" && !this.timer) {
      this.before = null;
      this.timer = setInterval(() => this.measure(), EVERY_MS);
    }
    if (!this.session.active) {
      clearInterval(this.timer);
      this.timer = 0;
      this.paint([]);
    }
  }

  async measure() {
    const report = await this.session.transport.report();
    if (!this.timer) return;
    const own = report.find(({ kind }) => kind === "websocket");
    this.paint(own ? this.socketFigures(own) : this.peerFigures(report));
  }

  rate(name, count, now) {
    const { [name]: last, at } = this.before ?? {};
    return last === undefined ? NaN : ((count - last) * 8) / (now - at);
  }

  socketFigures({ sent, received, unsent, heldMs, gaps, droppedMs, rate }) {
    const now = performance.now();
    const figures = [
      ["Path", "WebSocket"],
      ["Codec", `PCM16 ${rate / 1000} kHz`],
      ["Sending", kilobits(this.rate("sent", sent, now))],
      ["Receiving", kilobits(this.rate("received", received, now))],
      ["Waiting to play", milliseconds(heldMs)],
      ["Gaps heard", String(gaps)],
      ["Skipped", milliseconds(droppedMs)],
      ["Not sent", bytes(unsent)],
    ];
    this.before = { sent, received, at: now };
    return figures;
  }

  peerFigures(report) {
    const now = performance.now();
    const of = (type, test = () => true) => report.find((each) => each.type === type && test(each)) ?? {};
    const byName = (id) => report.find((each) => each.id === id) ?? {};
    const inbound = of("inbound-rtp", ({ kind }) => kind === "audio");
    const outbound = of("outbound-rtp", ({ kind }) => kind === "audio");
    const remote = of("remote-inbound-rtp");
    const pair = selectedPair(report);
    const codec = byName(outbound.codecId);
    const heard = inbound.packetsReceived + inbound.packetsLost;
    const figures = [
      ["Round trip", seconds(remote.roundTripTime ?? pair.currentRoundTripTime)],
      ["Lost to you", percent(inbound.packetsLost / heard)],
      ["Lost to the switch", percent(remote.fractionLost)],
      ["Jitter to you", seconds(inbound.jitter)],
      ["Jitter to the switch", seconds(remote.jitter)],
      ["Jitter buffer", seconds(inbound.jitterBufferDelay / inbound.jitterBufferEmittedCount)],
      ["Concealed", percent(inbound.concealedSamples / inbound.totalSamplesReceived)],
      ["Codec", codecName(codec)],
      ["Sending", kilobits(this.rate("sent", outbound.bytesSent, now))],
      ["Receiving", kilobits(this.rate("received", inbound.bytesReceived, now))],
      ["From", endpoint(byName(pair.localCandidateId))],
      ["To", endpoint(byName(pair.remoteCandidateId))],
    ];
    this.before = { sent: outbound.bytesSent, received: inbound.bytesReceived, at: now };
    return figures;
  }

  paint(figures) {
    byId("figures-empty").hidden = figures.length > 0;
    byId("figures").hidden = figures.length === 0;
    byId("figures").replaceChildren(
      ...figures.map(([name, value]) => build("div", {}, build("dt", {}, t(name)), build("dd", {}, value))),
    );
  }
}

function selectedPair(report) {
  const transport = report.find(({ type }) => type === "transport");
  const named = report.find(({ id }) => id === transport?.selectedCandidatePairId);
  return named ?? report.find((each) => each.type === "candidate-pair" && each.nominated) ?? {};
}

const codecName = ({ mimeType, clockRate }) =>
  mimeType ? `${mimeType.replace("audio/", "")} ${clockRate / 1000} kHz` : "–";

const endpoint = ({ address, port, candidateType, protocol }) =>
  candidateType ? `${address ? `${address}:${port}` : "hidden"} · ${candidateType} ${protocol}` : "–";

const kilobits = (value) => (Number.isFinite(value) ? `${Math.max(0, value).toFixed(0)} kbit/s` : "–");
const percent = (share) => (Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : "–");
const seconds = (value) => milliseconds(value * 1000);
