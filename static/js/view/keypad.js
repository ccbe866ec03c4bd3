/** The dial pad: by finger, by mouse, by keyboard; each press is heard, shown and sent. */

import { t } from "../text.js";
import { KEYS, soundDigit } from "../call/tones.js";
import { build, byId, isTyping } from "./dom.js";

const LETTERS = { 2: "ABC", 3: "DEF", 4: "GHI", 5: "JKL", 6: "MNO", 7: "PQRS", 8: "TUV", 9: "WXYZ", 0: "+" };
const NAMES = { "*": "star", "#": "hash" };

export class Keypad {
  constructor(session) {
    this.session = session;
    byId("keys").append(...KEYS.flat().map((digit) => this.key(digit)));
    document.addEventListener("keydown", (event) => this.typed(event));
    session.addEventListener("state", ({ detail }) => this.follow(detail.state));
    this.follow(session.state);
  }

  key(digit) {
    return build(
      "button",
      {
        type: "button",
        "aria-label": t(NAMES[digit] ?? digit),
        data: { digit },
        on: { click: () => this.press(digit) },
      },
      build("span", {}, digit),
      LETTERS[digit] && build("small", {}, LETTERS[digit]),
    );
  }

  follow(state) {
    for (const button of byId("keys").children) button.disabled = state !== "connected";
    if (state === "connecting") byId("pressed").value = "";
    this.hint("In a call the digits of your keyboard work as well.");
  }

  typed(event) {
    const digit = event.key.toUpperCase();
    if (event.repeat || isTyping(event)) return;
    const button = [...byId("keys").children].find((each) => each.dataset.digit === digit);
    if (!button || button.disabled) return;
    button.classList.add("pressed");
    setTimeout(() => button.classList.remove("pressed"), 150);
    this.press(digit);
  }

  press(digit) {
    if (!this.session.dtmf(digit)) {
      this.hint("This call did not agree on telephone-events: keys cannot be sent.");
      return;
    }
    const { context, feedback } = this.session.sound;
    soundDigit(context, feedback, digit);
    const pressed = byId("pressed");
    pressed.value = (pressed.value + digit).slice(-16);
  }

  hint(text) {
    byId("keypad-hint").textContent = t(text);
  }
}
