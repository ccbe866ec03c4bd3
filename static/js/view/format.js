/** Numbers and times as people read them. */

export function clock(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

/** A moment within a call: seconds and tenths from its start. */
export const offset = (ms) => `${(ms / 1000).toFixed(1).padStart(5, "\u2007")} s`;

export function bytes(count) {
  if (!Number.isFinite(count)) return "";
  const units = ["B", "kB", "MB", "GB"];
  const step = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  return `${(count / 1000 ** step).toFixed(step ? 1 : 0)} ${units[step]}`;
}

export function milliseconds(value) {
  if (!Number.isFinite(value)) return "–";
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}

export function moment(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime())
    ? ""
    : date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
