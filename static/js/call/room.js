/** One stay in a room: its socket, its peer connection, and who else is there. */

/** Candidates and figures need no hurry; a lost socket does, since the seat is kept for a while only. */
const STATS_MS = 5000;
const RETRY_MS = 1000;
const RETRIES = 15;

export class RoomSession extends EventTarget {
  /**
   * @param {import("../server.js").Server} server
   * @param {import("./sound.js").Sound} sound
   */
  constructor(server, sound) {
    super();
    Object.assign(this, { server, sound, state: "outside", people: new Map(), muted: false });
  }

  /** Tell the view that something changed. */
  changed() {
    this.dispatchEvent(new CustomEvent("change"));
  }

  fail(message) {
    this.dispatchEvent(new CustomEvent("trouble", { detail: message }));
  }

  /**
   * Go into a room. Must be called from a press of a button.
   * @param {string} room
   * @param {string} name how the others see this person.
   */
  async join(room, name) {
    if (this.state !== "outside") await this.leave();
    Object.assign(this, { room, name, id: "", muted: false, tries: 0, mixed: false, retrying: 0 });
    this.agent = `${name || "guest"}-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
    this.people = new Map();
    this.setState("joining");
    try {
      await this.sound.wake();
      await this.sound.openMicrophone();
      this.sound.mute(false);
    } catch (error) {
      this.setState("outside");
      this.fail(error.message);
      return;
    }
    this.open();
  }

  setState(state) {
    this.state = state;
    this.changed();
  }

  open() {
    const socket = this.server.socket("ws");
    this.socket = socket;
    socket.onopen = () =>
      this.say("room:join", { roomId: this.room, agentId: this.agent, metadata: { display_name: this.name || "Guest" } });
    socket.onmessage = ({ data }) => this.take(JSON.parse(data)).catch((error) => this.fail(error.message));
    socket.onclose = () => socket === this.socket && this.lost();
  }

  say(type, fields = {}) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const place = this.id && type !== "room:join" ? { roomId: this.room, participantId: this.id } : {};
    this.socket.send(JSON.stringify({ type, ...place, ...fields }));
  }

  /** The socket is gone: the seat waits, and sound goes on meanwhile. */
  lost() {
    if (this.state === "outside") return;
    if (this.state === "joining" || this.tries >= RETRIES) {
      this.end("The switch cannot be reached.");
      return;
    }
    this.tries += 1;
    this.retrying = setTimeout(() => this.open(), RETRY_MS);
  }

  async take(message) {
    const handler = this.handlers[message.type];
    if (handler) await handler.call(this, message);
  }

  handlers = {
    async "room:joined"({ participantId }) {
      const back = this.id === participantId;
      this.id = participantId;
      this.tries = 0;
      await this.look();
      this.setState("inside");
      if (back) {
        if (this.peer?.connectionState === "connected") this.say("state", { state: "connected" });
        return;
      }
      this.counting = setInterval(() => this.tellStats(), STATS_MS);
      if (this.mixed) await this.offer();
    },
    async "room:participant-joined"({ participant }) {
      this.people.set(participant.id, { name: participant.display_name, status: participant.status });
      this.changed();
      // Who is here already offers; who comes answers, so that the two never cross.
      if (!this.mixed) await this.offer();
    },
    async "room:participant-left"({ participantId, reason }) {
      if (participantId === this.id) {
        this.end(reason === "user_left" ? "" : "The room has let you go.");
        return;
      }
      this.people.delete(participantId);
      if (!this.mixed) {
        await this.tellStats();
        this.closePeer();
      }
      this.changed();
    },
    async "webrtc:offer"({ offer }) {
      this.buildPeer();
      await this.peer.setRemoteDescription(offer);
      await this.peer.setLocalDescription();
      this.say("webrtc:answer", { answer: { type: "answer", sdp: this.peer.localDescription.sdp } });
    },
    async "webrtc:answer"({ answer }) {
      if (this.peer?.signalingState === "have-local-offer") await this.peer.setRemoteDescription(answer);
    },
    async "webrtc:ice-candidate"({ candidate }) {
      if (candidate.candidate) await this.peer?.addIceCandidate(candidate);
    },
    "voice:stream-started"({ participantId }) {
      this.mark(participantId, { speaking: true, status: "connected" });
    },
    "voice:stream-stopped"({ participantId }) {
      this.mark(participantId, { speaking: false });
    },
    "room:muted"({ participantId, muted }) {
      this.mark(participantId, { muted });
    },
    "room:error"({ code, message }) {
      if (this.state === "joining") this.end(message);
      else this.fail(`${code}: ${message}`);
    },
    "room:closed"({ reason }) {
      this.end(reason === "all_participants_left" ? "" : "The room was closed.");
    },
  };

  mark(id, news) {
    const person = this.people.get(id);
    if (person) Object.assign(person, news);
    this.changed();
  }

  /** Ask who carries the audio and who is here. */
  async look() {
    const place = `api/v1/rooms/${encodeURIComponent(this.room)}`;
    const [answer, page] = await Promise.all([this.server.request(place), this.server.json(`${place}/participants`)]);
    this.mixed = answer.headers.get("Softswitch-Topology") === "mix";
    const room = await answer.json();
    this.title = room.name || "Room";
    this.recording = Boolean(room.settings.recording?.enabled);
    for (const { id, display_name: name, status } of page.data) {
      if (!this.people.has(id)) this.people.set(id, { name, status });
    }
  }

  // --- sound ------------------------------------------------------------------------

  buildPeer() {
    this.closePeer();
    const peer = new RTCPeerConnection({ iceServers: this.ice ?? [] });
    this.peer = peer;
    peer.onicecandidate = ({ candidate }) =>
      candidate?.candidate && peer === this.peer && this.say("webrtc:ice-candidate", { candidate: candidate.toJSON() });
    peer.onconnectionstatechange = () => {
      if (peer !== this.peer) return;
      const known = { connected: "connected", disconnected: "reconnecting", failed: "failed" }[peer.connectionState];
      if (known && !this.mixed) this.say("state", { state: known });
      this.changed();
    };
    peer.ontrack = ({ track }) => this.sound.playStream(new MediaStream([track]));
    peer.addTrack(this.sound.track, this.sound.microphone);
    return peer;
  }

  async offer() {
    this.ice ??= await this.server.json("iceservers").catch(() => []);
    const peer = this.buildPeer();
    await peer.setLocalDescription();
    if (peer !== this.peer) return;
    this.say("webrtc:offer", { offer: { type: "offer", sdp: peer.localDescription.sdp } });
  }

  closePeer() {
    this.peer?.close();
    this.peer = null;
    this.sound.stopStream();
  }

  /** The switch cannot count what never passes it. */
  async tellStats() {
    if (this.mixed || !this.peer) return;
    const reports = [...(await this.peer.getStats()).values()];
    const find = (type, extra = () => true) => reports.find((report) => report.type === type && extra(report)) ?? {};
    const sent = find("outbound-rtp");
    const received = find("inbound-rtp");
    const pair = find("candidate-pair", ({ nominated }) => nominated);
    const got = received.packetsReceived ?? 0;
    const lost = Math.max(0, received.packetsLost ?? 0);
    this.say("stats", {
      stats: {
        voicePacketsSent: sent.packetsSent ?? 0,
        voicePacketsReceived: got,
        bytesSent: sent.bytesSent ?? 0,
        bytesReceived: received.bytesReceived ?? 0,
        packetLossPercent: got + lost ? (100 * lost) / (got + lost) : 0,
        avgLatencyMs: Math.round((pair.currentRoundTripTime ?? 0) * 1000),
      },
    });
  }

  mute(muted) {
    this.muted = muted;
    this.sound.mute(muted);
    this.say("room:mute", { muted });
    this.changed();
  }

  // --- leaving ----------------------------------------------------------------------

  async leave() {
    if (this.state === "outside") return;
    await this.tellStats().catch(() => {});
    this.say("room:leave");
    this.end("");
  }

  /** Let go of everything; `why` is empty where the person wanted it so. */
  end(why) {
    if (this.state === "outside") return;
    clearInterval(this.counting);
    clearTimeout(this.retrying);
    const socket = this.socket;
    this.socket = null;
    socket?.close();
    this.closePeer();
    this.sound.rest();
    this.people = new Map();
    this.id = "";
    this.setState("outside");
    if (why) this.fail(why);
  }
}
