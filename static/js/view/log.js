/** Every message of the call as it went over the wire. */

import { callSnippet, requestSnippet } from "../snippets.js";
import { t } from "../text.js";
import { build, byId, copyFrom, followEnd } from "./dom.js";
import { snippetButtons } from "./snippet-buttons.js";

const LIMIT = 500;

export class Log {
  constructor(session) {
    this.session = session;
    this.list = byId("log");
    /** The commands of this call, for those who want it as code. */
    this.commands = [];
    this.began = performance.now();
    session.addEventListener("sent", ({ detail }) => this.add("out", detail.command, detail));
    session.addEventListener("event", ({ detail }) => this.add("in", String(detail.event ?? "unnamed"), detail));
    session.addEventListener("state", ({ detail }) => this.stateChanged(detail));
    byId("log-clear").addEventListener("click", () => this.clear());
    byId("log-copy").addEventListener("click", ({ currentTarget }) => copyFrom(currentTarget, this.text()));
    byId("log-metrics").addEventListener("change", ({ target }) =>
      this.list.classList.toggle("no-metrics", !target.checked),
    );
    byId("log-snippets").append(
      snippetButtons((kind) => callSnippet(kind, session.server, session.id, this.commands), "Copy the call as"),
    );
    this.clear();
  }

  clear() {
    this.list.replaceChildren();
    this.list.hidden = true;
    byId("log-empty").hidden = false;
  }

  stateChanged({ state, detail }) {
    if (state === "connecting" && this.callId !== this.session.id) {
      this.callId = this.session.id;
      this.commands = [];
      this.began = performance.now();
    }
    this.add("state", state, detail);
  }

  add(direction, name, content) {
    if (direction === "out" && this.commands.length < LIMIT) this.commands.push(content);
    const id = this.session.id;
    const at = ((performance.now() - this.began) / 1000).toFixed(3);
    const text = typeof content === "string" ? content : JSON.stringify(content);
    const line = build(
      "li",
      { data: { direction, name } },
      build("time", {}, at),
      build("b", {}, name),
      build("code", {}, text),
      direction === "out" ? this.curlButton(id, text) : null,
    );
    followEnd(this.list, () => {
      this.list.append(line);
      if (this.list.children.length > LIMIT) this.list.firstChild.remove();
    });
    this.list.hidden = false;
    byId("log-empty").hidden = true;
  }

  curlButton(id, text) {
    const copy = ({ currentTarget }) => copyFrom(currentTarget, requestSnippet("curl", this.session.server, { method: "POST", path: `command/${encodeURIComponent(id)}`, body: text }));
    return build("button", { type: "button", class: "quiet", on: { click: copy } }, t("Copy as curl"));
  }

  text() {
    return [...this.list.children]
      .map((line) =>
        [line.querySelector("time"), line.querySelector("b"), line.querySelector("code")]
          .map((part) => part.textContent)
          .join(" "),
      )
      .join("\n");
  }
}
