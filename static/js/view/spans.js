/** What lasted in a call: who spoke, what was played, holds; from the lines of its dump. */

/** An event that begins a span, the ones that end it, and the lane it is drawn in. */
const KINDS = [
  { lane: "near", from: ({ event }) => event === "speaking", to: ({ event }) => event === "silence" || event === "hangup", title: ["said"] },
  {
    lane: "far",
    from: ({ event, playId }) => event === "trackStart" && playId,
    to: ({ event, playId }, { playId: begun }) =>
      event === "hangup" || ((event === "trackEnd" || event === "interruption") && playId === begun),
  },
  { lane: "hold", from: ({ event, onHold }) => event === "hold" && onHold, to: ({ event, onHold }) => event === "hangup" || (event === "hold" && !onHold) },
];

/**
 * @param {{at: number, event?: object, command?: object}[]} lines of the dump, in their order.
 * @returns {{lane: string, from: number, to: number, text: string}[]} times in ms of the clock of the dump.
 */
export function spansOf(lines) {
  const spans = [];
  const texts = new Map();
  const last = lines.at(-1)?.at ?? 0;
  for (const { command } of lines) {
    if (command?.command === "tts" && command.text) texts.set(command.playId, (texts.get(command.playId) ?? "") + command.text);
  }
  for (const { lane, from, to } of KINDS) {
    let open = null;
    for (const { at, event } of lines) {
      if (!event) continue;
      if (open && to(event, open.event)) {
        spans.push({ lane, from: open.at, to: at, text: texts.get(open.event.playId) ?? "" });
        open = null;
      }
      if (!open && from(event)) open = { at: event.event === "speaking" && event.startTime > 1e12 ? Math.min(event.startTime, at) : at, event };
    }
    if (open) spans.push({ lane, from: open.at, to: last, text: texts.get(open.event.playId) ?? "" });
  }
  return spans.sort((a, b) => a.from - b.from);
}

/** The transcript: what was understood and what was said, in order, with the time each began. */
export function transcriptOf(lines) {
  const said = [];
  const plays = new Map();
  for (const { at, event, command } of lines) {
    if (event?.event === "asrFinal" && event.text) said.push({ at: event.startTime > 1e12 ? event.startTime : at, who: "near", text: event.text });
    if (event?.event === "addHistory" && event.text) said.push({ at, who: "far", text: event.text });
    if (command?.command === "tts" && command.text) {
      const line = plays.get(command.playId);
      // Streamed text comes word by word: it belongs to the line it started.
      if (line) line.text += command.text;
      else {
        const next = { at, who: "far", text: command.text, playId: command.playId };
        said.push(next);
        if (command.playId) plays.set(command.playId, next);
      }
    }
    const line = event?.event === "trackStart" && plays.get(event.playId);
    if (line) line.at = at;
  }
  return said.sort((a, b) => a.at - b.at);
}
