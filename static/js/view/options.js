/** The dialog with the options of a call: a form, and beside it the JSON that it makes. Either may be changed. */

import { FIELDS, fieldsOption, merge, splitOption } from "../call/option-fields.js";
import { t } from "../text.js";
import { build, byId } from "./dom.js";

const SLOT = "softswitch.options";
/** What the form of the call says anyway, and the dialog leaves to it. */
const ELSEWHERE = ["offer", "caller", "callee", "denoise"];

export class Options {
  /**
   * @param {() => {base: object, on: object}} readBase what the form of the call says of the option.
   * @param {(option: object) => void} writeBase fills that form from an option.
   */
  constructor(readBase, writeBase) {
    Object.assign(this, { readBase, writeBase });
    this.values = {};
    this.rest = {};
    this.restore();
    this.json = byId("options-json");
    this.form = byId("options-form");
    byId("options-fields").append(...FIELDS.map((field) => this.row(field)));
    byId("options-open").addEventListener("click", () => this.open());
    byId("options-reset").addEventListener("click", () => this.reset());
    this.form.addEventListener("input", ({ target }) => (target === this.json ? this.readJson() : this.readField(target)));
    document.addEventListener("speech", ({ detail }) => this.offer(detail));
  }

  row(field) {
    const { path, label, choices, names = [], lines, min, max, step } = field;
    let input;
    if (choices) input = build("select", { name: path }, ...choices.map((value, at) => option(value, names[at])));
    else if (lines) input = build("textarea", { name: path, rows: 2, spellcheck: "false" });
    else input = build("input", { name: path, type: min === undefined ? "text" : "number", min, max, step: step ?? (min === undefined ? null : 1) });
    return build("label", { class: "field" }, build("span", {}, t(label)), input);
  }

  /** Recognisers and detectors are those of the switch. */
  offer({ asr, vad }) {
    for (const [path, found] of [["asr.provider", asr.map(({ name }) => name)], ["vad.type", vad]]) {
      const select = this.form.elements[path];
      const wanted = this.value(path);
      select.replaceChildren(...[...new Set([...found, wanted])].map((value) => option(value)));
      select.value = wanted;
    }
  }

  value(path) {
    return String(this.values[path] ?? FIELDS.find((field) => field.path === path).fallback);
  }

  open() {
    this.paintFields();
    this.paintJson();
    byId("options-dialog").showModal();
  }

  get option() {
    const { base, on } = this.readBase();
    return merge(merge(base, this.rest), fieldsOption(this.values, on));
  }

  paintFields() {
    for (const { path } of FIELDS) this.form.elements[path].value = this.value(path);
  }

  paintJson() {
    this.json.value = JSON.stringify(this.option, null, 2);
    this.complain("");
  }

  readField({ name, value, validity, validationMessage }) {
    this.complain(validity.valid ? "" : validationMessage);
    if (!validity.valid) return;
    this.values[name] = value;
    this.save();
    this.json.value = JSON.stringify(this.option, null, 2);
  }

  readJson() {
    let option;
    try {
      option = JSON.parse(this.json.value);
    } catch (error) {
      this.complain(error.message);
      return;
    }
    if (option === null || typeof option !== "object" || Array.isArray(option)) {
      this.complain(t("This must be an object: { … }"));
      return;
    }
    this.complain("");
    const { values, rest } = splitOption(option);
    for (const name of ELSEWHERE) delete rest[name];
    // Provider and voice have their boxes; the rest of `tts` (speed, pitch) has none.
    for (const name of ["provider", "speaker"]) delete rest.tts?.[name];
    delete rest.recorder?.transcribe;
    Object.assign(this, { values, rest });
    this.writeBase(option);
    this.paintFields();
    this.save();
  }

  complain(words) {
    byId("options-error").textContent = words;
    this.json.setAttribute("aria-invalid", String(Boolean(words)));
  }

  reset() {
    Object.assign(this, { values: {}, rest: {} });
    this.save();
    this.paintFields();
    this.paintJson();
  }

  save() {
    localStorage.setItem(SLOT, JSON.stringify({ values: this.values, rest: this.rest }));
  }

  restore() {
    try {
      const { values = {}, rest = {} } = JSON.parse(localStorage.getItem(SLOT)) ?? {};
      Object.assign(this, { values, rest });
    } catch {
      localStorage.removeItem(SLOT);
    }
  }
}

const option = (value, name) => build("option", { value }, t(name ?? String(value)));
