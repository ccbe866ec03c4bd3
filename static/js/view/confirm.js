/** Second thoughts for what cannot be undone. */

import { t } from "../text.js";
import { build } from "./dom.js";

const PATIENCE_MS = 3000;

/**
 * A button that asks once more before it acts.
 * @param {{label: string, sure: string, subject: string, act: () => void}} options `subject` is read aloud after the label.
 */
export function confirmButton({ label, sure, subject, act }) {
  const words = build("span", {}, t(label));
  const button = build(
    "button",
    { type: "button", class: "quiet" },
    words,
    build("span", { class: "visually-hidden" }, ` ${subject}`),
  );
  let timer = 0;
  const arm = (on) => {
    clearTimeout(timer);
    timer = on ? setTimeout(() => arm(false), PATIENCE_MS) : 0;
    words.textContent = t(on ? sure : label);
    button.classList.toggle("danger", on);
  };
  button.addEventListener("click", () => {
    if (!timer) return arm(true);
    arm(false);
    button.disabled = true;
    return act();
  });
  return button;
}
