/** The sixteen keys of a telephone as sound: in-band digits for the remote party, and the feedback a person hears. */

const ROWS = [697, 770, 852, 941];
const COLUMNS = [1209, 1336, 1477, 1633];
const LAYOUT = ["123A", "456B", "789C", "*0#D"];

export const KEYS = LAYOUT.map((row) => [...row]);
export const DIGIT_MS = 120;
export const PAUSE_MS = 80;

/** The two frequencies of a digit, Hz (ITU-T Q.23). */
export function tonePair(digit) {
  const row = LAYOUT.findIndex((keys) => keys.includes(digit));
  if (row < 0) throw new RangeError(`not a DTMF digit: ${digit}`);
  return [ROWS[row], COLUMNS[LAYOUT[row].indexOf(digit)]];
}

/**
 * Sound `digit` into `target` at context time `when`, and return when the next digit may begin.
 * @param {number} level amplitude of each of the two tones, 0..0.5.
 */
export function soundDigit(context, target, digit, { when = context.currentTime, level = 0.2 } = {}) {
  const gain = new GainNode(context, { gain: 0 });
  gain.connect(target);
  const end = when + DIGIT_MS / 1000;
  // 4 ms ramps: an abrupt edge would splash over the other frequencies.
  gain.gain.setValueAtTime(0, when);
  gain.gain.linearRampToValueAtTime(level, when + 0.004);
  gain.gain.setValueAtTime(level, end - 0.004);
  gain.gain.linearRampToValueAtTime(0, end);
  for (const frequency of tonePair(digit)) {
    const tone = new OscillatorNode(context, { frequency });
    tone.connect(gain);
    tone.start(when);
    tone.stop(end);
    tone.onended = () => gain.disconnect();
  }
  return end + PAUSE_MS / 1000;
}
