/** The SIP messages of a call as a ladder: a column for each address, an arrow for each message; click shows its text. */

import { t } from "../text.js";
import { byId } from "./dom.js";
import { clock } from "./format.js";
import { showNotice } from "./notice.js";

const SVG = "http://www.w3.org/2000/svg";
const ROW = 38;
const HEAD = 40;
/** Room for the time of a message, px. */
const MARGIN = 78;
const LEAST_COLUMN = 150;
const MOST_COLUMN = 320;

/** What stands over the arrow: method or code, and whether there is a description of media. */
export function labelOf(text) {
  const [first] = text.split(/\r?\n/, 1);
  const response = /^SIP\/2\.0 (\d{3}) ?(.*)/i.exec(first);
  const method = /^cseq\s*:\s*\d+\s+(\w+)/im.exec(text)?.[1] ?? "";
  const name = response ? `${response[1]} ${response[2]}`.trim() : first.split(" ", 1)[0];
  return {
    name,
    about: [response && method, /^content-type\s*:\s*application\/sdp|^c\s*:\s*application\/sdp/im.test(text) && "SDP"].filter(Boolean).join(", "),
    kind: response ? (response[1] < "200" ? "provisional" : response[1] < "300" ? "success" : "failure") : "request",
  };
}

/**
 * Where everything stands.
 * @param {{at: number, sent: boolean, remote: string, text: string}[]} messages in their order.
 * @returns {{columns: string[], rows: {from: number, to: number, at: number, name: string, about: string, kind: string}[]}}
 *   columns by address, that of the switch is "" and second; times in ms from the first message.
 */
export function layout(messages) {
  const remotes = [...new Set(messages.map(({ remote }) => remote))];
  const columns = remotes.length ? [remotes[0], "", ...remotes.slice(1)] : [];
  const begin = messages[0]?.at ?? 0;
  const rows = messages.map(({ at, sent, remote, text }) => {
    const peer = columns.indexOf(remote);
    const own = columns.indexOf("");
    return { from: sent ? own : peer, to: sent ? peer : own, at: at - begin, ...labelOf(text) };
  });
  return { columns, rows };
}

export class Ladder {
  constructor(server) {
    this.server = server;
    this.place = byId("detail-ladder");
    new ResizeObserver(() => this.messages?.length && this.width !== this.place.clientWidth && this.draw()).observe(this.place);
  }

  /** Show the messages of a call; an empty id, or a call without any, hides the section. */
  async load(id) {
    this.id = id;
    this.show([]);
    if (!id) return;
    const path = `calls/${encodeURIComponent(id)}/sip`;
    try {
      const { messages } = await this.server.json(path);
      if (this.id !== id) return;
      this.show(messages);
      const link = byId("detail-sip");
      link.href = this.server.fileUrl(`${path}?format=text`).href;
      link.download = `${id}.sip.txt`;
    } catch (error) {
      showNotice(t(error.message));
    }
  }

  show(messages) {
    this.messages = messages;
    this.chosen = -1;
    byId("detail-sip-card").hidden = !messages.length;
    byId("detail-sip-text").textContent = "";
    this.place.replaceChildren();
    if (!messages.length) return;
    this.draw();
    this.choose(0);
  }

  draw() {
    const { columns, rows } = layout(this.messages);
    this.width = this.place.clientWidth;
    const pitch = Math.min(MOST_COLUMN, Math.max(LEAST_COLUMN, (this.width - MARGIN - 130) / Math.max(1, columns.length - 1)));
    const x = (column) => MARGIN + 62 + column * pitch;
    const width = x(columns.length - 1) + 68;
    const height = HEAD + rows.length * ROW + 8;
    const svg = draw("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": t("SIP messages") });
    columns.forEach((column, at) => {
      svg.append(
        draw("line", { class: "lifeline", x1: x(at), x2: x(at), y1: HEAD - 8, y2: height }),
        draw("text", { class: "column", x: x(at), y: 18, "text-anchor": "middle" }, column || t("Switch")),
      );
    });
    this.rows = rows.map((row, at) => this.row(row, at, x, width));
    svg.append(...this.rows);
    this.place.replaceChildren(svg);
    this.mark();
  }

  row({ from, to, at, name, about, kind }, index, x, width) {
    const y = HEAD + index * ROW;
    const [start, end] = [x(from), x(to)];
    const back = end > start ? -7 : 7;
    const label = about ? `${name} (${about})` : name;
    const group = draw(
      "g",
      { class: `message ${kind}`, role: "button", tabindex: index === Math.max(0, this.chosen) ? "0" : "-1", "aria-label": `${clock(at)} ${label}` },
      draw("rect", { x: 1, y, width: width - 2, height: ROW, rx: 6 }),
      draw("text", { class: "at", x: 8, y: y + 25 }, `+${(at / 1000).toFixed(3)} s`),
      draw("text", { class: "label", x: (start + end) / 2, y: y + 15, "text-anchor": "middle" }, short(label, Math.abs(end - start))),
      draw("line", { class: "arrow", x1: start, x2: end, y1: y + 25, y2: y + 25 }),
      draw("path", { class: "tip", d: `M${end} ${y + 25} l${back} -4 v8 z` }),
    );
    group.addEventListener("click", () => this.choose(index, true));
    group.addEventListener("keydown", (event) => this.key(event, index));
    return group;
  }

  key(event, index) {
    const next = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: this.messages.length - 1, Enter: index, " ": index }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.choose(Math.max(0, Math.min(this.messages.length - 1, next)), true);
  }

  choose(index, focus = false) {
    this.chosen = index;
    byId("detail-sip-text").textContent = this.messages[index].text.trimEnd();
    byId("detail-sip-text").scrollTop = 0;
    this.mark();
    if (focus) this.rows[index].focus();
  }

  mark() {
    this.rows.forEach((row, at) => {
      row.setAttribute("aria-pressed", String(at === this.chosen));
      row.setAttribute("tabindex", at === Math.max(0, this.chosen) ? "0" : "-1");
    });
  }
}

/** Text that fits a width, at about seven pixels a letter. */
function short(text, width) {
  const most = Math.max(6, Math.floor(width / 7));
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function draw(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}
