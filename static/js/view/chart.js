/** A small line chart of a series, with its least, mean and greatest value in words. */

import { t } from "../text.js";
import { build } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 200;
const HEIGHT = 48;

/**
 * @param {number[]} values in equal steps of time; gaps are NaN.
 * @param {{low?: number, high?: number, unit?: string}} [scale] least range of the axis, and what stands behind values.
 * @param {(at: number) => void} [onPick] called with the index of the value that was clicked.
 */
export function lineChart(title, values, { low = Infinity, high = -Infinity, unit = "" } = {}, onPick = undefined) {
  const known = values.filter(Number.isFinite);
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const [bottom, top] = [Math.min(low, least), Math.max(high, most)];
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  const x = (at) => (values.length > 1 ? (at * WIDTH) / (values.length - 1) : WIDTH / 2);
  const y = (value) => HEIGHT - 3 - ((value - bottom) / (top - bottom || 1)) * (HEIGHT - 6);
  let path = "";
  values.forEach((value, at) => {
    if (!Number.isFinite(value)) return;
    const joined = Number.isFinite(values[at - 1]);
    path += `${joined ? "L" : "M"}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
    // A value without neighbours is a dash, as a point would not be seen.
    if (!joined && !Number.isFinite(values[at + 1])) path += "h4";
  });
  line.setAttribute("d", path);
  svg.append(line);
  if (onPick) svg.addEventListener("click", ({ offsetX }) => onPick(Math.round((offsetX / svg.clientWidth) * (values.length - 1))));
  return build("figure", { class: "chart" }, build("figcaption", {}, title, build("small", {}, words(known, least, most, unit))), svg);
}

function words(known, least, most, unit) {
  if (!known.length) return t("unknown");
  const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
  return t("{low} to {high}, mean {mean}", { low: short(least), high: short(most), mean: `${short(mean)}${unit}` });
}

const short = (value) => String(value >= 20 ? Math.round(value) : Math.round(value * 100) / 100);
