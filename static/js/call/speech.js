/** The providers, voices and languages of the switch, and a sentence in one of its voices without a call of one's own. */

const RATE = 16000;
const LIMIT_MS = 20_000;

/** What the switch offers; with nothing to ask, or no right to, what every switch has. */
export async function listSpeech(server) {
  try {
    return await server.json("speech");
  } catch {
    const builtin = { name: "builtin", hosted: false, voices: [], languages: [] };
    return { tts: [builtin], asr: [builtin], vad: ["silero"], defaults: { tts: "builtin", asr: "builtin" } };
  }
}

/**
 * Fetch a sentence as the switch speaks it: a call over a WebSocket that only listens, and ends with the sentence.
 * @returns {Promise<Int16Array>} mono at 16 kHz.
 */
export function speakSample(server, text, tts) {
  return new Promise((resolve, reject) => {
    const pieces = [];
    const socket = server.socket("call", { id: `sample-${crypto.randomUUID()}`, dump: "false" });
    let trouble = "";
    const timer = setTimeout(() => socket.close(), LIMIT_MS);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      const option = { caller: "browser", callee: "voice sample", samplerate: RATE, vad: false, tts };
      socket.send(JSON.stringify({ command: "invite", option }));
      socket.send(JSON.stringify({ command: "tts", text, playId: "sample", autoHangup: true }));
    };
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) pieces.push(new Int16Array(data));
      else trouble ||= warning(JSON.parse(data));
    };
    socket.onclose = () => {
      clearTimeout(timer);
      const samples = new Int16Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
      pieces.reduce((at, piece) => (samples.set(piece, at), at + piece.length), 0);
      if (samples.some(Boolean)) resolve(samples);
      else reject(new Error(trouble || "The switch said nothing."));
    };
  });
}

const warning = ({ event, error }) => (event === "error" ? String(error ?? "") : "");

/** Play mono samples of 16 kHz; settles when they have sounded. */
export async function playSamples(samples) {
  const context = new AudioContext();
  try {
    const buffer = new AudioBuffer({ length: samples.length, sampleRate: RATE });
    buffer.copyToChannel(Float32Array.from(samples, (sample) => sample / 32768), 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    const ended = new Promise((resolve) => (source.onended = resolve));
    source.start();
    await ended;
  } finally {
    await context.close();
  }
}
