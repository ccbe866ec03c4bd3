/** A small receptionist: an application of this page that listens and answers, as yours would over the same socket. */

export const GREETING = "Good day, this is the reception. Would you like sales or support?";

const ANSWERS = [
  [/\bsales?\b|\b(buy|price|offer)\b/i, "Sales is on the first floor. They are happy to call you back today. Anything else?"],
  [/\bsupport\b|\b(help|broken|problem)\b/i, "Support is here from eight to six. What is the matter?"],
  [/\b(time|late)\b/i, () => `It is ${new Date().toLocaleTimeString("en-GB", { hour: "numeric", minute: "2-digit" })}.`],
  [/\b(bye|goodbye|thanks?|no)\b/i, "Thank you for calling. Good bye."],
];
const KEYS = { 1: ANSWERS[0][1], 2: ANSWERS[1][1] };
const UNKNOWN = "I did not quite get that. Say sales or support, or press one or two.";

/** What the receptionist says to a sentence. */
export function answerTo(text) {
  const found = ANSWERS.find(([pattern]) => pattern.test(text))?.[1] ?? UNKNOWN;
  return typeof found === "function" ? found() : found;
}

/** Answer for the length of one call of a session. */
export function receive(session) {
  const heard = ({ detail: { event, text, digit } }) => {
    if (event === "asrFinal" && text?.trim()) session.say(answerTo(text));
    if (event === "dtmf" && digit) session.say(KEYS[digit] ?? UNKNOWN);
  };
  const changed = () => {
    if (session.active) return;
    session.removeEventListener("event", heard);
    session.removeEventListener("state", changed);
  };
  session.addEventListener("event", heard);
  session.addEventListener("state", changed);
}
