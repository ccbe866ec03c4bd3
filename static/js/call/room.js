/** One stay in a room: its socket, its peer connection, and who else is there. */

import { PathWatch } from "./path.js";

/** The seat of this tab: a page that was loaded again takes it up instead of a second one. */
const SLOT = "softswitch.seat";
/** Candidates and figures need no hurry; a lost socket does, since the seat is kept for a while only. */
const STATS_MS = 5000;
const RETRY_MS = 1000;
const RETRIES = 15;
/** An offer that is not answered by then is made again; */
const ANSWER_MS = 6000;
/** at most so often: the one who answers may be away. */
const OFFERS = 5;
/** Of two participants that see the same path die, one waits for the offer of the other for so long. */
const YIELD_MS = 3000;
/** A tab that has been copied has the seat of the other one in its storage, which holds this lock. */
const LOCK = "softswitch.seat.";

export class RoomSession extends EventTarget {
  /**
   * @param {import("../server.js").Server} server
   * @param {import("./sound.js").Sound} sound
   */
  constructor(server, sound) {
    super();
    Object.assign(this, { server, sound, state: "outside", people: new Map(), muted: false, attempt: 0 });
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
    const attempt = ++this.attempt;
    const wanted = () => this.attempt === attempt && this.state === "joining";
    Object.assign(this, { room, name, id: "", muted: false, tries: 0, mixed: false, retrying: 0 });
    this.people = new Map();
    this.early = new Map();
    this.setState("joining");
    try {
      await this.sound.wake();
      await this.choose(name);
      if (!wanted()) return;
      await this.sound.openMicrophone({}, wanted);
    } catch (error) {
      if (wanted()) this.end(error.message);
      return;
    }
    if (!wanted()) return;
    this.sound.mute(false);
    this.open();
  }

  /** Take the seat that this tab had before it was loaded again, or a new one, and hold its lock. */
  async choose(name) {
    this.seat = seatIn(this.room);
    if (this.seat && !(await this.hold(this.seat.agent))) this.seat = null;
    this.agent = this.seat?.agent ?? newAgent(name);
    if (!this.seat) await this.hold(this.agent);
  }

  /** Hold the lock of a seat until the end; false where another tab has it. */
  hold(agent) {
    this.release?.();
    return new Promise((resolve) => {
      const held = (lock) => {
        resolve(Boolean(lock));
        return lock && new Promise((release) => (this.release = release));
      };
      if (navigator.locks) navigator.locks.request(LOCK + agent, { ifAvailable: true }, held);
      else resolve(true);
    });
  }

  setState(state) {
    this.state = state;
    this.changed();
  }

  open() {
    const socket = this.server.socket("ws");
    let turn = Promise.resolve();
    this.socket = socket;
    socket.onopen = () => socket === this.socket && this.ask();
    // One message after the other: an offer that comes behind another message must find it carried out.
    socket.onmessage = ({ data }) => {
      turn = turn
        .then(() => socket === this.socket && this.take(JSON.parse(data)))
        .catch((error) => this.fail(error.message));
    };
    socket.onclose = () => socket === this.socket && this.lost();
  }

  /** Ask for a seat, or for the one this tab had. */
  ask() {
    this.say("room:join", { roomId: this.room, agentId: this.agent, metadata: { display_name: this.name || "Guest" } });
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
      // The seat of before the reload: those who are there see no newcomer, so the offer comes from here.
      const again = this.seat?.id === participantId;
      this.id = participantId;
      this.reloaded = again && !back;
      sessionStorage.setItem(SLOT, JSON.stringify({ room: this.room, agent: this.agent, id: participantId }));
      this.tries = 0;
      await this.look(back);
      this.setState("inside");
      if (back) {
        if (this.path?.alive) this.say("state", { state: "connected" });
        else if (this.peer) await this.restart();
        else if (this.mixed || this.people.size > 1) await this.offer();
        return;
      }
      this.counting = setInterval(() => this.tellStats(), STATS_MS);
      if (this.mixed || (again && this.people.size > 1)) await this.offer();
    },
    async "room:participant-joined"({ participant }) {
      this.people.set(participant.id, { name: participant.display_name, status: participant.status });
      this.changed();
      // Who is here already offers; who comes answers, so that the two never cross.
      if (!this.mixed) await this.offer();
    },
    async "room:participant-left"({ participantId, reason }) {
      if (participantId === this.id) {
        this.end(DEPARTURES[reason] ?? "The room has let you go.");
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
      const known = this.peer?.remoteDescription;
      // A page that was loaded again has made the offer that counts.
      if (this.reloaded && this.peer && !known) return;
      const restarts = known && sessionOf(known.sdp) === sessionOf(offer.sdp);
      // Both look for a new path at the same time: one of the two offers counts.
      if (restarts && this.peer.signalingState !== "stable" && this.leads) return;
      if (!restarts) {
        if (!this.ice) await this.renewIce();
        this.buildPeer();
      }
      this.settled();
      await this.peer.setRemoteDescription(offer);
      await this.peer.setLocalDescription();
      this.say("webrtc:answer", { answer: { type: "answer", sdp: this.peer.localDescription.sdp } });
      this.path.begin();
    },
    async "webrtc:answer"({ answer }) {
      if (this.peer?.signalingState !== "have-local-offer") return;
      const known = this.peer.remoteDescription;
      this.settled();
      if (known && fingerprintOf(known.sdp) !== fingerprintOf(answer.sdp)) {
        // Another connection answers than the one that is known: the old one had ended.
        await this.offer();
        return;
      }
      this.reloaded = false;
      await this.peer.setRemoteDescription(answer);
      this.path.begin();
    },
    async "webrtc:ice-candidate"({ candidate }) {
      // One of an offer that does not count any more is of no use.
      if (candidate.candidate) await this.peer?.addIceCandidate(candidate).catch(() => {});
    },
    "voice:stream-started"({ participantId }) {
      this.mark(participantId, { speaking: true, status: "connected" });
    },
    "voice:stream-stopped"({ participantId }) {
      this.mark(participantId, { speaking: false });
    },
    "room:muted"({ participantId, muted }) {
      // After a reload the switch still has the seat as it was.
      if (participantId === this.id && muted !== this.muted) {
        this.muted = muted;
        this.sound.mute(muted);
      }
      this.mark(participantId, { muted });
    },
    async "room:error"({ code, message }) {
      if (this.state === "joining" && this.seat) {
        // The seat is gone, or another tab sits on it: take one as a newcomer.
        this.seat = null;
        this.agent = newAgent(this.name);
        await this.hold(this.agent);
        this.ask();
      } else if (this.state === "joining") this.end(message);
      else this.fail(`${code}: ${message}`);
    },
    "room:closed"({ reason }) {
      this.end(reason === "all_participants_left" ? "" : "The room was closed.");
    },
  };

  mark(id, news) {
    const person = this.people.get(id);
    if (person) Object.assign(person, news);
    else this.early.set(id, { ...this.early.get(id), ...news });
    this.changed();
  }

  /** Ask who carries the audio and who is here; `back`: this page may have missed who left. */
  async look(back) {
    const before = [...this.people.keys()];
    const place = `api/v1/rooms/${encodeURIComponent(this.room)}`;
    const [answer, page] = await Promise.all([this.server.request(place), this.server.json(`${place}/participants`)]);
    this.mixed = answer.headers.get("Softswitch-Topology") === "mix";
    const room = await answer.json();
    this.title = room.name || "Room";
    this.recording = Boolean(room.settings.recording?.enabled);
    const here = new Set(page.data.map(({ id }) => id));
    for (const id of back ? before : []) if (!here.has(id)) this.people.delete(id);
    for (const { id, display_name: name, status } of page.data) {
      if (!this.people.has(id)) this.people.set(id, { name, status, ...this.early.get(id) });
    }
  }

  // --- sound ------------------------------------------------------------------------

  buildPeer() {
    this.closePeer();
    const peer = new RTCPeerConnection({ iceServers: this.ice ?? [] });
    this.peer = peer;
    peer.onicecandidate = ({ candidate }) =>
      candidate?.candidate && peer === this.peer && this.say("webrtc:ice-candidate", { candidate: candidate.toJSON() });
    this.path = new PathWatch(peer, {
      restart: () => this.pathDied(peer),
      state: (state) => {
        if (!this.mixed) this.say("state", { state });
        this.changed();
      },
    });
    peer.ontrack = ({ track }) => this.sound.playStream(new MediaStream([track]));
    peer.addTrack(this.sound.track, this.sound.microphone);
    return peer;
  }

  /** Get TURN credentials for the next connection; old ones may have expired. */
  async renewIce() {
    this.ice = await this.server.json("iceservers").catch(() => this.ice ?? []);
  }

  /** Offer a new connection. */
  async offer(count = 1) {
    await this.renewIce();
    const peer = this.buildPeer();
    await this.send(peer, {}, () => this.offer(count + 1), count);
  }

  /** Whether the offer of this page counts where both have made one; the switch makes none. */
  get leads() {
    return this.mixed || [...this.people.keys()].every((id) => this.id <= id);
  }

  /** Look for another path of the connection; the one who leads begins. */
  async pathDied(peer) {
    if (!this.leads) await new Promise((resolve) => setTimeout(resolve, YIELD_MS));
    if (peer === this.peer && !this.path.alive) await this.restart();
  }

  /** Offer another path for the same connection (RFC 8839 section 4.4.1); without a socket, wait for it. */
  async restart(count = 1) {
    const { peer } = this;
    if (this.socket?.readyState !== WebSocket.OPEN || !peer) return;
    if (!peer.remoteDescription) {
      await this.offer();
      return;
    }
    this.path.calm();
    await this.renewIce();
    if (peer !== this.peer || peer.signalingState === "have-remote-offer") return;
    if (peer.signalingState === "have-local-offer") await peer.setLocalDescription({ type: "rollback" });
    peer.setConfiguration({ iceServers: this.ice });
    await this.send(peer, { iceRestart: true }, () => this.restart(count + 1), count);
  }

  /** Send an offer, and make it again where no answer comes. */
  async send(peer, options, again, count) {
    await peer.setLocalDescription(await peer.createOffer(options));
    if (peer !== this.peer) return;
    this.say("webrtc:offer", { offer: { type: "offer", sdp: peer.localDescription.sdp } });
    this.settled();
    if (count >= OFFERS) return;
    this.unanswered = setTimeout(() => {
      // The one who does not lead takes the offer of the other one from now on.
      this.reloaded &&= this.leads;
      again().catch((error) => this.fail(error.message));
    }, ANSWER_MS * (this.leads ? 1 : 2));
  }

  /** The last offer needs no other one. */
  settled() {
    clearTimeout(this.unanswered);
  }

  closePeer() {
    this.settled();
    this.path?.close();
    this.path = null;
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
    sessionStorage.removeItem(SLOT);
    clearInterval(this.counting);
    clearTimeout(this.retrying);
    this.release?.();
    this.release = null;
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

/** What is said to a person whose seat is gone, by the reason; nothing where it was their wish. */
const DEPARTURES = { user_left: "", replaced: "Your seat is in use in another window." };

/** Return the session id of a description, which is constant for one connection (RFC 9429 section 5.2.1). */
const sessionOf = (sdp) => sdp.match(/^o=\S+ (\S+)/m)?.[1];

const fingerprintOf = (sdp) => sdp.match(/^a=fingerprint:(.*)$/m)?.[1].trim();

/** Return the seat that this tab had in a room before it was loaded again; null without one. */
function seatIn(room) {
  try {
    const seat = JSON.parse(sessionStorage.getItem(SLOT));
    return seat?.room === room ? seat : null;
  } catch {
    return null;
  }
}

const newAgent = (name) => `${name || "guest"}-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
