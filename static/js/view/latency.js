/** What a listener judges: how long the recogniser, the voice and the interruption took. Pure bookkeeping. */

export const KINDS = {
  asr: { label: "Words final", detail: "from the end of your words to their final text", good: 600 },
  tts: { label: "First audio", detail: "from the text to the first sound", good: 250 },
  barge: { label: "Barge-in", detail: "from your first sound to its silence", good: 500 },
};

const KEEP = 24;

export class Latency {
  constructor() {
    this.clear();
  }

  clear() {
    this.values = { asr: [], tts: [], barge: [] };
    this.speechStart = 0;
    this.asked = new Map();
  }

  /** Note a command on its way; `now` is any monotonic clock, ms. */
  sent({ command, playId }, now) {
    if (command === "tts" && !this.asked.has(playId)) this.asked.set(playId, now);
  }

  /** Take one event; return {kind, ms} when it completes a measurement. */
  heard(event, now) {
    const found = this.measure(event, now);
    if (!found || !Number.isFinite(found.ms) || found.ms < 0) return null;
    const line = this.values[found.kind];
    line.push(found.ms);
    if (line.length > KEEP) line.shift();
    return found;
  }

  measure(event, now) {
    switch (event.event) {
      case "speaking":
        this.speechStart = event.startTime;
        return null;
      case "asrFinal":
        return { kind: "asr", ms: event.timestamp - event.endTime };
      case "interruption":
        return this.interrupted(event);
      case "trackStart":
        return this.started(event.playId, now);
      default:
        return null;
    }
  }

  /** Only speech can be interrupted by speech: a press of the button has no beginning to count from. */
  interrupted({ timestamp }) {
    const start = this.speechStart;
    this.speechStart = 0;
    return start ? { kind: "barge", ms: timestamp - start } : null;
  }

  started(playId, now) {
    const asked = this.asked.get(playId);
    this.asked.delete(playId);
    return asked === undefined ? null : { kind: "tts", ms: now - asked };
  }

  /** Last, median and history of a kind; null before the first. */
  summary(kind) {
    const values = this.values[kind];
    if (!values.length) return null;
    const sorted = [...values].sort((a, b) => a - b);
    return { last: values.at(-1), median: sorted[Math.floor(sorted.length / 2)], values };
  }
}
