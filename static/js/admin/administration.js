/** Users, trunks, routes, speech providers, webhooks and keys: list, add, change, delete; who changed what; reload. */

import { rememberKey } from "../server.js";
import { requestSnippet } from "../snippets.js";
import { t } from "../text.js";
import { confirmButton } from "../view/confirm.js";
import { build, byId, copyFrom } from "../view/dom.js";
import { moment } from "../view/format.js";
import { showNotice } from "../view/notice.js";
import { snippetButtons } from "../view/snippet-buttons.js";
import { wireTabs } from "../view/tabs.js";
import { sayTrunk } from "../view/words.js";
import { bodyOf, formFields, maskBody } from "./form.js";
import { KINDS } from "./kinds.js";

const ACTIONS = { create: "made", change: "changed", delete: "deleted", import: "imported", reload: "read again" };
/** Kinds whose state changes by itself: telephones and trunks register. */
const LIVING = new Set(["users", "trunks"]);
const EVERY_MS = 2000;
const TARGETS = ["echo", "tone", "webhook"];

export class Administration {
  constructor(server, changed = () => {}) {
    Object.assign(this, { server, changed });
    this.shown = "users";
    this.last = null;
    this.build();
    byId("admin-refresh").addEventListener("click", () => this.load());
    byId("admin-reload").addEventListener("click", () => this.reload());
    byId("entry-cancel").addEventListener("click", () => byId("entry-dialog").close());
    byId("entry-form").addEventListener("submit", (event) => this.submit(event));
    byId("secret-copy").addEventListener("click", ({ currentTarget }) => copyFrom(currentTarget, byId("secret").textContent));
    byId("secret-dialog").addEventListener("close", () => (byId("secret").textContent = ""));
  }

  build() {
    const tab = (id, title, first) =>
      build("button", { role: "tab", id: `tab-admin-${id}`, "aria-controls": `admin-${id}`, "aria-selected": String(first), tabindex: first ? null : "-1" }, t(title));
    byId("admin-tabs").append(...KINDS.map(({ id, title }, at) => tab(id, title, at === 0)), tab("audit", "Changes", false));
    byId("admin-panels").append(...KINDS.map((kind) => this.panel(kind)), this.auditPanel());
    this.showTab = wireTabs(byId("admin-tabs"), (panel) => {
      this.shown = panel.slice("admin-".length);
      if (this.looked) {
        history.replaceState(null, "", `${location.pathname}${location.search}#admin/${this.shown}`);
        this.load();
      }
    });
  }

  panel({ id, add, empty: [title, text] }) {
    return build(
      "section",
      { class: "card", role: "tabpanel", id: `admin-${id}`, "aria-labelledby": `tab-admin-${id}`, hidden: id !== "users" },
      build("div", { class: "card-head" }, build("span", {}), build("button", { type: "button", class: "primary", id: `add-${id}`, on: { click: () => this.edit(id) } }, t(add))),
      build("ul", { class: "rows", id: `list-${id}` }),
      build("p", { class: "empty", id: `none-${id}` }, build("strong", {}, t(title)), t(text)),
    );
  }

  auditPanel() {
    return build(
      "section",
      { class: "card", role: "tabpanel", id: "admin-audit", "aria-labelledby": "tab-admin-audit", hidden: true },
      build("ul", { class: "rows", id: "list-audit" }),
      build("p", { class: "empty", id: "none-audit" }, build("strong", {}, t("No changes")), t("Who changed what is listed here, with the values before and after.")),
    );
  }

  visible(shown) {
    this.looked = shown;
    clearInterval(this.timer);
    if (!shown) return;
    this.load();
    this.timer = setInterval(() => LIVING.has(this.shown) && this.load({ polled: true }), EVERY_MS);
  }

  /** Show the tab of an address `#admin/<kind>`. */
  open(kind) {
    this.showTab(`admin-${kind}`);
  }

  async load({ polled = false } = {}) {
    const kind = this.shown;
    try {
      const found = await this.server.json(kind === "audit" ? "admin/audit" : `admin/${kind}`);
      const text = JSON.stringify([kind, found]);
      // A row that says the same stays: one of its buttons may have the focus, or wait for a second press.
      if (polled && text === this.text) return;
      this.text = text;
      if (kind === "audit") this.paint(kind, found.changes.map(auditRow));
      else this.paint(kind, found[kind].map((entry) => this.row(kindOf(kind), entry)));
      if (!polled) showNotice();
    } catch (error) {
      showNotice(t(error.message));
    }
    if (polled) return;
    byId("admin-snippets").replaceChildren(...(this.last ? [snippetButtons((code) => requestSnippet(code, this.server, this.last), "Copy the last change as")] : []));
  }

  paint(kind, rows) {
    const list = byId(`list-${kind}`);
    const focused = list.contains(document.activeElement) ? document.activeElement : null;
    const name = focused?.closest("li").dataset.name;
    const at = focused ? [...focused.parentElement.children].indexOf(focused) : -1;
    list.replaceChildren(...rows);
    if (focused) rows.find((row) => row.dataset.name === name)?.querySelectorAll(".actions > *")[at]?.focus();
    byId(`none-${kind}`).hidden = rows.length > 0;
  }

  row(kind, entry) {
    const { name = "", read_only: filed, fault } = entry;
    const subject = ` ${name}`;
    const act = (label, listener) =>
      build("button", { type: "button", class: "quiet", on: { click: listener } }, t(label), build("span", { class: "visually-hidden" }, subject));
    return build(
      "li",
      { data: { name, source: entry.source ?? "", state: stateOf(entry), living: String(LIVING.has(kind.id)) } },
      ...stateTag(kind, entry),
      build(
        "span",
        { class: "who" },
        build("strong", {}, name || t("without a name")),
        build("small", { class: fault ? "wrong" : null }, fault || kind.says(entry).filter(Boolean).join(" · ")),
      ),
      build("span", { class: "fine" }, [troubleOf(entry), filed && t("in the settings file")].filter(Boolean).join(" · ")),
      build(
        "span",
        { class: "actions" },
        act(filed ? "View" : "Edit", () => this.edit(kind.id, entry)),
        filed ? null : confirmButton({ label: t("Delete"), sure: t("Delete it?"), subject: name, act: () => this.remove(kind, name) }),
      ),
    );
  }

  async edit(id, entry = null) {
    const kind = kindOf(id);
    this.editing = { kind, entry };
    byId("entry-title").textContent = entry ? (entry.name ?? t("without a name")) : t(kind.add);
    byId("entry-error").textContent = "";
    byId("entry-note").hidden = !entry?.read_only;
    byId("entry-fields").replaceChildren(...formFields(kind, entry));
    // Without a key of an administrator the switch would be closed to this page.
    if (id === "keys" && !this.server.token && !byId("list-keys").children.length)
      byId("entry-fields").querySelector("[value=admin]").checked = true;
    byId("entry-save").hidden = Boolean(entry?.read_only);
    byId("entry-fields").disabled = Boolean(entry?.read_only);
    byId("entry-dialog").showModal();
    if (id === "routes") await this.offerTargets();
  }

  /** Where a route may lead: the users and trunks there are. */
  async offerTargets() {
    try {
      const [{ users }, { trunks }] = await Promise.all([this.server.json("admin/users"), this.server.json("admin/trunks")]);
      const targets = [...users.map(({ name }) => `user:${name}`), ...trunks.map(({ name }) => `trunk:${name}`), ...TARGETS];
      fillList("admin-targets", targets);
      fillList("admin-trunk-names", trunks.map(({ name }) => name));
    } catch (error) {
      byId("entry-error").textContent = t(error.message);
    }
  }

  async submit(event) {
    event.preventDefault();
    const { kind, entry } = this.editing;
    const body = bodyOf(kind, byId("entry-form"), entry);
    const path = entry ? `admin/${kind.id}/${encodeURIComponent(entry.name)}` : `admin/${kind.id}`;
    const method = entry ? "PATCH" : "POST";
    byId("entry-save").disabled = true;
    try {
      const made = await this.server.json(path, { method, body });
      this.last = { method, path, body: JSON.stringify(maskBody(kind, body)) };
      byId("entry-dialog").close();
      if (made.key) this.takeKey(made);
      await this.done();
    } catch (error) {
      this.complain(error.message);
    }
    byId("entry-save").disabled = false;
  }

  /** Say what is wrong, at the field that the switch names. */
  complain(words) {
    byId("entry-error").textContent = t(words);
    const field = this.editing.kind.fields.find(({ name }) => new RegExp(`\\b${name}\\b`).test(words));
    const element = field && byId("entry-form").elements[field.name];
    const input = element?.[0]?.tagName === "INPUT" ? element[0] : element;
    input?.closest("details")?.setAttribute("open", "");
    input?.focus();
  }

  /** Show a new key; the first one of an administrator is this page's own from now on, which is shut out otherwise. */
  takeKey({ key, scopes = [] }) {
    if (!this.server.token && scopes.includes("admin")) rememberKey(key);
    byId("key-open").toggleAttribute("data-set", Boolean(this.server.token));
    byId("secret").textContent = key;
    byId("secret-dialog").showModal();
  }

  async remove(kind, name) {
    const path = `admin/${kind.id}/${encodeURIComponent(name)}`;
    try {
      await this.server.request(path, { method: "DELETE" });
      this.last = { method: "DELETE", path };
    } catch (error) {
      showNotice(t(error.message));
      return;
    }
    await this.done();
    byId(`add-${kind.id}`).focus();
  }

  async done() {
    await this.load();
    this.changed();
  }

  async reload() {
    try {
      const answer = await this.server.json("admin/reload", { method: "POST" });
      const needs = Object.values(answer).flat().filter((each) => typeof each === "string");
      await this.done();
      showNotice(needs.length ? t("Read again. These need a restart: {names}", { names: needs.join(", ") }) : t("The settings file was read again."));
    } catch (error) {
      showNotice(t(error.message));
    }
  }
}

const kindOf = (id) => KINDS.find((kind) => kind.id === id);

function fillList(id, values) {
  byId(id).replaceChildren(...values.map((value) => build("option", { value })));
}

/** The state of a trunk or a user at this moment, as the switch names it. */
const stateOf = ({ state, registered }) => state ?? (registered === undefined ? "" : registered ? "registered" : "away");

function stateTag({ id }, entry) {
  if (!LIVING.has(id)) return [];
  const state = stateOf(entry);
  const words = entry.state ? sayTrunk(state) : t(state === "registered" ? "Registered" : "Away");
  return [build("span", { class: "tag" }, state ? words : "")];
}

/** What else there is to say of a state: why a trunk failed, which telephones a user has. */
function troubleOf({ state, code, reason, contacts = [] }) {
  if (state === "failed" || state === "unresolved") return [code, reason].filter(Boolean).join(" · ");
  return contacts.map((contact) => contact.user_agent || contact.address).join(", ");
}

function auditRow({ at, who, action, kind, name, before, after, address }) {
  return build(
    "li",
    {},
    build("span", { class: "tag" }, t(ACTIONS[action] ?? action)),
    build("span", { class: "who" }, build("strong", {}, `${kind} ${name}`.trim()), build("small", {}, difference(before, after))),
    build("span", { class: "fine" }, [who || t("without a key"), address, moment(at)].filter(Boolean).join(" · ")),
    build("span", {}),
  );
}

function difference(before, after) {
  if (!before || !after) return "";
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  const text = (value) => (value === undefined ? "–" : JSON.stringify(value));
  return names
    .filter((name) => text(before[name]) !== text(after[name]))
    .map((name) => `${name}: ${text(before[name])} → ${text(after[name])}`)
    .join(", ");
}
