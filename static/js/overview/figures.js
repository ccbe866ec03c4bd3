/** Figures and alarms of the switch, from what it exports: pure, so that they are tested by themselves. */

/** Read the text format of Prometheus: samples by name. */
export function parseMetrics(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? ([^ ]+)/.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries([...(match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]));
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push({ labels, value: Number(match[3]) });
  }
  return found;
}

/** The sum of all samples of a name; NaN without one. */
export function total(metrics, name) {
  const samples = metrics.get(`softswitch_${name}`) ?? metrics.get(name);
  return samples ? samples.reduce((sum, { value }) => sum + value, 0) : NaN;
}

/**
 * A share of a histogram between two readings, by its buckets: seconds; NaN where nothing was observed.
 * @param {(labels: object) => boolean} [wanted] which samples count.
 */
export function quantile(metrics, before, name, share, wanted = () => true) {
  const counts = new Map();
  const add = (from, sign) => {
    for (const { labels, value } of from?.get(`softswitch_${name}_bucket`) ?? []) {
      if (!wanted(labels)) continue;
      const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
      counts.set(bound, (counts.get(bound) ?? 0) + sign * value);
    }
  };
  add(metrics, 1);
  add(before, -1);
  const bounds = [...counts.keys()].sort((a, b) => a - b);
  const all = counts.get(Infinity);
  if (!all) return NaN;
  const found = bounds.find((bound) => counts.get(bound) >= share * all);
  return found === Infinity ? (bounds.at(-2) ?? NaN) : found;
}

const HOUR_MS = 3_600_000;

/**
 * Sum up hours of the database from a time on.
 * @param {{at: number, answered: number, failed: number, reasons: Record<string, number>}[]} hours
 */
export function summary(hours, since) {
  const reasons = new Map();
  let [answered, failed] = [0, 0];
  for (const hour of hours) {
    if (hour.at < since) continue;
    answered += hour.answered;
    failed += hour.failed;
    for (const [reason, count] of Object.entries(hour.reasons)) reasons.set(reason, (reasons.get(reason) ?? 0) + count);
  }
  return { calls: answered + failed, answered, failed, reasons: [...reasons].sort((a, b) => b[1] - a[1]) };
}

/** The last hours, the oldest first, those without calls included. */
export function lastHours(hours, now, count = 24) {
  const last = Math.floor(now / HOUR_MS) * HOUR_MS;
  const found = new Map(hours.map((hour) => [hour.at, hour]));
  return Array.from({ length: count }, (_, index) => {
    const at = last - (count - 1 - index) * HOUR_MS;
    return { at, answered: 0, failed: 0, ...found.get(at) };
  });
}

const FAULTS = {
  media: "The media engine stands still: no call has sound.",
  store: "The database cannot be reached. Records wait on the disk.",
  draining: "The switch is ending: it takes no new calls.",
  overload: "The switch is overloaded and refuses new calls.",
  addresses: "The host has no address that others can reach.",
  trunks: "No required trunk is up.",
  loop: "The switch answers late: something holds it up.",
};
const FEW_CALLS = 10;
/** Many listeners are dissatisfied below (ITU-T G.107, Annex B). */
export const POOR_MOS = 3.6;
const FEW_INTERVALS = 3;

/**
 * What is wrong, worst first.
 * @returns {{level: "bad"|"warn", text: string, values?: object}[]}
 */
export function alarms({ health = {}, trunks = [], quality = [], metrics = new Map(), before = null, today = null }) {
  const found = [];
  const bad = (text, values) => found.push({ level: "bad", text, values });
  const warn = (text, values) => found.push({ level: "warn", text, values });
  for (const fault of health.faults ?? []) bad(FAULTS[fault] ?? "The check {fault} fails.", { fault });
  for (const { name, state, code, reason } of trunks) {
    if (state === "failed") bad("Trunk {name} refuses the registration: {why}", { name, why: [code, reason].filter(Boolean).join(" ") });
    if (state === "unresolved") bad("The server of trunk {name} is not found.", { name });
  }
  for (const text of health.warnings ?? []) {
    // The state of a trunk is told above, in the language of the reader.
    if (!trunks.some(({ name, state }) => (state === "failed" || state === "unresolved") && text.includes(name))) warn(String(text));
  }
  for (const { name, mos, intervals } of quality) {
    if (mos < POOR_MOS && intervals >= FEW_INTERVALS) warn("Calls over trunk {name} sound bad: MOS {mos}.", { name, mos: mos.toFixed(1) });
  }
  const grown = (name) => (before ? total(metrics, name) - total(before, name) : 0);
  const held = total(metrics, "memory_held_bytes") / total(metrics, "memory_bound_bytes");
  if (total(metrics, "overload_late_ticks_ratio") > 0.01)
    warn("The sound is late in {percent} % of the ticks.", { percent: (100 * total(metrics, "overload_late_ticks_ratio")).toFixed(1) });
  if (held > 0.8) warn("{percent} % of the memory for calls is in use.", { percent: Math.round(100 * held) });
  if (total(metrics, "store_spooled_rows_waiting") > 0)
    warn("{count} records wait for the database.", { count: total(metrics, "store_spooled_rows_waiting") });
  if (grown("store_rows_lost_total") > 0) bad("Records of calls are being lost.");
  if (grown("webhook_dropped_total") > 0) warn("Messages to webhooks are being dropped.");
  if (grown("overload_calls_refused_total") > 0) bad("New calls are being refused.");
  if (today && today.calls >= FEW_CALLS && today.failed / today.calls > 0.5)
    warn("{failed} of {calls} calls failed today.", today);
  return found.sort((a, b) => (a.level === b.level ? 0 : a.level === "bad" ? -1 : 1));
}
