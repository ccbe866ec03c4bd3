/** The options of a call that the page has fields for, and how fields become an option and an option becomes fields. */

/**
 * `path` is where the value stands in the option; `under` names the option's object that must be on for it to count.
 * `fallback` is what the switch takes where the field is left as it is.
 */
export const FIELDS = [
  { path: "bargeIn.mode", label: "Who stops the playback", choices: ["server", "client"], fallback: "server" },
  { path: "bargeIn.minSpeechMs", label: "Speech that interrupts, ms", min: 0, max: 5000, fallback: 300 },
  { path: "bargeIn.minWords", label: "Words that interrupt", min: 0, max: 20, fallback: 0 },
  { path: "bargeIn.fadeMs", label: "Fade-out, ms", min: 0, max: 2000, fallback: 40 },
  { path: "vad.type", label: "Detector of speech", choices: ["silero", "webrtc", "energy"], fallback: "silero", always: true },
  { path: "vad.speechPadding", label: "Speech before it counts, ms", min: 0, max: 5000, fallback: 250 },
  { path: "vad.silencePadding", label: "Silence before it counts, ms", min: 0, max: 5000, fallback: 100 },
  { path: "vad.voiceThreshold", label: "Threshold, 0 to 1", min: 0, max: 1, step: 0.05, fallback: 0.5 },
  { path: "eou.timeout", label: "Silence that ends a turn, ms", min: 100, max: 10000, fallback: 500 },
  { path: "asr.provider", label: "Recogniser", choices: ["builtin"], fallback: "builtin", always: true },
  { path: "asr.language", label: "Language of recognition", fallback: "" },
  {
    path: "asr.grammar.type",
    label: "Grammar",
    choices: ["", "phrases", "spot", "digits"],
    names: ["free speech", "one of these phrases", "spot these phrases", "digits"],
    fallback: "",
  },
  { path: "asr.grammar.items", label: "Phrases, one a line", lines: true, fallback: "" },
  { path: "asr.hotwords", label: "Words to expect, one a line", lines: true, fallback: "" },
  { path: "recorder.samplerate", label: "Sample rate of the recording", choices: [8000, 16000, 24000, 48000], fallback: 16000, always: true },
  { path: "recorder.format", label: "File format", choices: ["wav", "opus", "ogg"], fallback: "wav", always: true },
  { path: "recorder.tone", label: "Beep every, ms", min: 2000, max: 60000, step: 1000, fallback: "" },
  { path: "inactivityTimeout", label: "End after silence of both, s", min: 1, max: 86400, fallback: "" },
];

const PATHS = new Map(FIELDS.map((field) => [field.path, field]));
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** Set a value deep in an object, which is changed. */
export function put(object, path, value) {
  const names = path.split(".");
  const last = names.pop();
  let place = object;
  for (const name of names) place = place[name] = isObject(place[name]) ? place[name] : {};
  place[last] = value;
}

/** Split an option into the values of fields and the rest, which has no field. */
export function splitOption(option, path = "") {
  const values = {};
  const rest = {};
  for (const [name, value] of Object.entries(option)) {
    const here = path ? `${path}.${name}` : name;
    const field = PATHS.get(here);
    if (field) values[here] = field.lines && Array.isArray(value) ? value.join("\n") : value;
    else if (isObject(value)) {
      const inner = splitOption(value, here);
      Object.assign(values, inner.values);
      if (Object.keys(inner.rest).length) rest[name] = inner.rest;
    } else rest[name] = value;
  }
  return { values, rest };
}

/** Objects of the second win over the first, name by name. */
export function merge(first, second) {
  const merged = { ...first };
  for (const [name, value] of Object.entries(second)) {
    merged[name] = isObject(value) && isObject(merged[name]) ? merge(merged[name], value) : value;
  }
  return merged;
}

/**
 * The part of an option that fields make.
 * @param {Record<string, string|number>} values by path.
 * @param {{asr: boolean, bargeIn: boolean, recorder: boolean}} on objects that are left out altogether.
 */
export function fieldsOption(values, on) {
  const option = {};
  for (const field of FIELDS) {
    const root = field.path.split(".")[0];
    if (on[root] === false) continue;
    let value = values[field.path] ?? field.fallback;
    if (!field.always && String(value) === String(field.fallback)) continue;
    if (field.path === "asr.grammar.items" && !values["asr.grammar.type"]) continue;
    if (field.lines) value = String(value).split("\n").map((line) => line.trim()).filter(Boolean);
    else if (typeof field.fallback === "number" || field.min !== undefined) value = Number(value);
    put(option, field.path, value);
  }
  if (on.bargeIn) put(option, "bargeIn.mode", values["bargeIn.mode"] || "server");
  return option;
}
