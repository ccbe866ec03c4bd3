/** The person's side of the sound: microphone in, speaker out, and a meter on both. */

/** Why a microphone may be missing, in words a person can act on. */
const REFUSALS = {
  NotAllowedError: "The browser was not allowed to use the microphone. Allow it in the address bar and call again.",
  NotReadableError: "The microphone is in use by another program.",
  OverconstrainedError: "The chosen microphone is gone. Pick another one.",
};

/** Microphones need HTTPS or localhost: anywhere else the browser hides them altogether. */
export const microphoneAllowed = () => Boolean(globalThis.isSecureContext && navigator.mediaDevices);

/** Longest wait for the audio clock, ms. */
const WAKE_MS = 1500;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Sound {
  constructor() {
    this.context = null;
    this.microphone = null;
    this.silent = false;
    this.muted = false;
    this.resting = null;
    this.speakerId = "";
    this.element = new Audio();
    this.element.autoplay = true;
  }

  /** Start the audio clock. Must be called from a press of a button, or browsers keep it asleep. */
  async wake() {
    if (!this.context) this.build();
    // A browser without an audio output never settles this: the call goes on without a clock then.
    if (this.context.state !== "running" || this.resting) await Promise.race([this.context.resume(), pause(WAKE_MS)]);
  }

  build() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    const meter = () => new AnalyserNode(this.context, { fftSize: 2048, smoothingTimeConstant: 0 });
    this.near = meter();
    this.far = meter();
    /** What the switch is sent by WebSocket: microphone and keypad tones together. */
    this.upstream = new GainNode(this.context);
    this.voice = new GainNode(this.context);
    /** Closed while a key sounds: a voice on top of it would hide the tones from the switch. */
    this.mouth = new GainNode(this.context);
    this.voice.connect(this.mouth).connect(this.upstream);
    this.voice.connect(this.near);
    this.feedback = new GainNode(this.context, { gain: 0.25 });
    this.feedback.connect(this.context.destination);
    this.applySpeaker();
  }

  /**
   * Open the microphone, or silence where the machine has none. Opening again swaps the device under a running call.
   * @param {{deviceId?: string, echo?: boolean, noise?: boolean, gain?: boolean}} options
   * @param {() => boolean} [wanted] asked once the person has decided: a microphone that is not wanted any longer is
   *   closed at once, and null returned.
   */
  async openMicrophone({ deviceId = "", echo = true, noise = true, gain = true } = {}, wanted = () => true) {
    if (!microphoneAllowed()) throw new Error("The microphone needs HTTPS or localhost.");
    const constraints = {
      deviceId: deviceId ? { exact: deviceId } : undefined,
      channelCount: 1,
      echoCancellation: echo,
      noiseSuppression: noise,
      autoGainControl: gain,
    };
    let stream;
    let silent = false;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: constraints });
    } catch (error) {
      if (error.name !== "NotFoundError") throw new Error(REFUSALS[error.name] ?? error.message, { cause: error });
      silent = true;
      stream = new MediaStreamAudioDestinationNode(this.context).stream;
    }
    if (!wanted()) {
      stream.getTracks().forEach((track) => track.stop());
      return null;
    }
    this.silent = silent;
    this.closeMicrophone();
    this.microphone = stream;
    this.source = new MediaStreamAudioSourceNode(this.context, { mediaStream: stream });
    this.source.connect(this.voice);
    this.mute(this.muted);
    return this.track;
  }

  get track() {
    return this.microphone?.getAudioTracks()[0];
  }

  closeMicrophone() {
    this.source?.disconnect();
    this.microphone?.getTracks().forEach((track) => track.stop());
    this.microphone = this.source = null;
  }

  mute(muted) {
    this.muted = muted;
    if (this.track) this.track.enabled = !muted;
  }

  /** Play and meter a remote stream (WebRTC). */
  playStream(stream) {
    this.stopStream();
    this.element.srcObject = stream;
    this.farSource = new MediaStreamAudioSourceNode(this.context, { mediaStream: stream });
    this.farSource.connect(this.far);
  }

  stopStream() {
    this.farSource?.disconnect();
    this.farSource = null;
    this.element.srcObject = null;
  }

  /** Play and meter a node of the graph (WebSocket). */
  playNode(node) {
    node.connect(this.far);
    node.connect(this.context.destination);
  }

  async chooseSpeaker(deviceId) {
    this.speakerId = deviceId;
    await this.applySpeaker();
  }

  async applySpeaker() {
    if (!canChooseSpeaker()) return;
    await this.element.setSinkId(this.speakerId);
    // Older Safari and Firefox route elements only; their default device then plays what comes by WebSocket.
    if (this.context?.setSinkId) await this.context.setSinkId(this.speakerId);
  }

  /** Let go of the microphone after a call; the audio clock sleeps until the next one. */
  async rest() {
    this.closeMicrophone();
    this.stopStream();
    // A suspension under way must not put the next call to sleep.
    const resting = this.context?.suspend();
    this.resting = resting;
    await resting;
    if (this.resting === resting) this.resting = null;
  }
}

export const canChooseSpeaker = () => "setSinkId" in HTMLMediaElement.prototype;

/** List input and output devices; labels are empty until the microphone was allowed once. */
export async function listDevices() {
  if (!navigator.mediaDevices?.enumerateDevices) return { microphones: [], speakers: [] };
  const devices = await navigator.mediaDevices.enumerateDevices();
  const named = (kind) => devices.filter((device) => device.kind === kind && device.deviceId);
  return { microphones: named("audioinput"), speakers: named("audiooutput") };
}
