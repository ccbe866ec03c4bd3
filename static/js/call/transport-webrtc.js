/** WebRTC: one peer connection, trickled candidates, telephone-events by the browser itself. */

import { PathWatch } from "./path.js";
import { DIGIT_MS, PAUSE_MS } from "./tones.js";

/** Candidates found together travel together. */
const BATCH_MS = 40;
/** Longest wait for sound to flow before the greeting is said all the same. */
const READY_MS = 4000;

export class WebRtcTransport {
  static id = "webrtc";
  static label = "WebRTC";
  static path = "call/webrtc";
  static hint = "Encrypted, adaptive, Opus by default";
  static codecs = [
    { value: "", label: "Automatic (Opus)" },
    { value: "opus", label: "Opus" },
    { value: "g722", label: "G.722" },
    { value: "pcmu", label: "PCMU (G.711 µ-law)" },
    { value: "pcma", label: "PCMA (G.711 A-law)" },
  ];

  /**
   * @param {object} needs
   * @param {import("../server.js").Server} needs.server
   * @param {import("./sound.js").Sound} needs.sound
   * @param {(command: object) => void} needs.send
   * @param {(state: string) => void} needs.mediaState connected, reconnecting or failed.
   */
  constructor({ server, sound, send, mediaState }) {
    Object.assign(this, { server, sound, send, mediaState });
    this.batch = [];
    this.invited = false;
    this.canHold = true;
    this.takenBack = 0;
    this.closed = false;
  }

  /** Build the offer. ICE servers are asked for first; without them host candidates still serve. */
  async option({ codec }) {
    const iceServers = await this.iceServers();
    if (this.closed) return {};
    this.build(iceServers, codec);
    await this.peer.setLocalDescription();
    return { offer: this.peer.localDescription.sdp, trickle: true };
  }

  build(iceServers, codec) {
    this.peer = new RTCPeerConnection({ iceServers });
    this.peer.onicecandidate = ({ candidate }) => candidate?.candidate && this.trickle(candidate.candidate);
    this.path?.close();
    this.path = new PathWatch(this.peer, {
      restart: () => this.renegotiate({ iceRestart: true }),
      state: (state) => {
        if (state === "connected") this.flowing();
        this.mediaState(state);
      },
    });
    this.ready = new Promise((resolve) => {
      this.flowing = resolve;
      setTimeout(resolve, READY_MS);
    });
    this.peer.ontrack = ({ track }) => this.sound.playStream(new MediaStream([track]));
    const { track, microphone } = this.sound;
    const line = this.peer.addTransceiver(track, { direction: "sendrecv", streams: [microphone] });
    this.line = line;
    if (codec) preferCodec(line, codec);
  }

  /** Negotiate anew with a switch that keeps the call: this page has lost its peer connection. */
  async rejoin({ codec }) {
    const { offer } = await this.option({ codec });
    if (!offer) return;
    this.send({ command: "offer", offer });
    this.inviteSent();
  }

  /** The socket is back, perhaps by another network: find a new path, and repeat an offer that may have been lost. */
  async recover() {
    if (this.closed || !this.peer?.remoteDescription) return;
    this.path.calm();
    await this.refused();
    await this.renegotiate({ iceRestart: true });
  }

  async iceServers() {
    try {
      const servers = await this.server.json("iceservers");
      return servers.map(({ urls, username, credential }) => (credential ? { urls, username, credential } : { urls }));
    } catch {
      return [];
    }
  }

  /** The invite has left: candidates may follow it. */
  inviteSent() {
    this.invited = true;
    this.flushCandidates();
  }

  trickle(candidate) {
    this.batch.push(candidate);
    if (this.batch.length === 1) setTimeout(() => this.flushCandidates(), BATCH_MS);
  }

  flushCandidates() {
    if (!this.invited || !this.batch.length) return;
    this.send({ command: "candidate", candidates: this.batch.splice(0) });
  }

  /** Add what the switch found after its answer; an empty candidate is the last one. */
  async candidates(list) {
    for (const candidate of list) await this.peer.addIceCandidate(candidate).catch(() => {});
  }

  /** Take the answer to the first offer, and to every later one. */
  async answered({ sdp }) {
    if (this.peer?.signalingState !== "have-local-offer") return;
    if (this.line.direction === "sendrecv" && this.line.currentDirection === "inactive") this.takenBack += 1;
    await this.peer.setRemoteDescription({ type: "answer", sdp: this.wake(sdp) });
    this.path.begin();
  }

  /**
   * A Chromium receiver that was inactive stays silent when it comes back with the SSRC it had: it must see a
   * change. So every second time the SSRC is left out, and the browser learns it from the packets.
   */
  wake(sdp) {
    return this.takenBack % 2 ? sdp.replace(/^a=ssrc:.*\r?\n/gm, "") : sdp;
  }

  /** Make a new offer under the running call: another direction, another path. */
  async renegotiate(options) {
    if (this.closed || this.peer.signalingState !== "stable") return;
    this.invited = false;
    // TURN credentials live an hour, calls live longer: what is gathered now needs fresh ones.
    if (options?.iceRestart) this.peer.setConfiguration({ iceServers: await this.iceServers() });
    await this.peer.setLocalDescription(await this.peer.createOffer(options));
    this.send({ command: "offer", offer: this.peer.localDescription.sdp });
    this.inviteSent();
  }

  /** The switch refused an offer: what was agreed before stands. */
  async refused() {
    if (this.peer?.signalingState === "have-local-offer") await this.peer.setLocalDescription({ type: "rollback" });
  }

  /** Put the call on hold, or take it back; the switch tells by `hold` when it is so. */
  async hold(on) {
    this.line.direction = on ? "inactive" : "sendrecv";
    await this.renegotiate();
  }

  audio() {
    // Sound comes by RTP here; a binary message has no meaning.
  }

  interrupted() {
    // Nothing is held back on this side: the browser's jitter buffer is a few frames deep.
  }

  /** Replace the microphone under the running call. */
  async microphoneChanged() {
    await this.line.sender.replaceTrack(this.sound.track);
  }

  /** Send digits as telephone-events. Returns false where the remote party did not negotiate them. */
  dtmf(digits) {
    const pad = this.line?.sender.dtmf;
    if (!pad?.canInsertDTMF) return false;
    // A second call replaces what is still waiting, so what is waiting goes first.
    pad.insertDTMF(pad.toneBuffer + digits, DIGIT_MS, PAUSE_MS);
    return true;
  }

  async report() {
    return this.peer ? [...(await this.peer.getStats()).values()] : [];
  }

  close() {
    this.closed = true;
    this.path?.close();
    this.peer?.close();
    this.flowing?.();
  }
}

/** Put `name` and telephone-event alone on the line; a browser that lacks the codec keeps its own order. */
function preferCodec(line, name) {
  const all = RTCRtpReceiver.getCapabilities("audio")?.codecs ?? [];
  const wanted = all.filter(({ mimeType }) => mimeType.toLowerCase() === `audio/${name}`);
  const events = all.filter(({ mimeType }) => mimeType.toLowerCase() === "audio/telephone-event");
  if (wanted.length) line.setCodecPreferences([...wanted, ...events]);
}
