/** Whether the path of a peer connection still carries sound, and when another one has to be looked for. */

/** A path that stays broken this long is looked for anew. */
const RESTART_MS = 2500;
/** Time between two looks whether sound still arrives, ms. */
const LOOK_MS = 500;
/** A path is dead when no sound came for this long, ms; */
const SILENT_MS = 1500;
/** and a check of it was not answered for this long, ms. The browser itself says so after five seconds at best. */
const DOUBT_MS = 700;
/** A new path that is not found by then is not there. */
const GIVE_UP_MS = 12_000;

export class PathWatch {
  /**
   * @param {RTCPeerConnection} peer
   * @param {object} told
   * @param {() => Promise<void>} told.restart Look for another path.
   * @param {(state: string) => void} told.state connected, reconnecting or failed.
   */
  constructor(peer, { restart, state }) {
    Object.assign(this, { peer, restart, state, closed: false, restarting: 0, givingUp: 0 });
    this.seen = { heard: 0, heardAt: 0, answers: 0, asked: 0, doubtedAt: 0, dead: false };
    peer.addEventListener("connectionstatechange", () => this.changed());
  }

  /** Look from now on; further calls do nothing. */
  begin() {
    if (!this.closed) this.looking ||= setInterval(() => this.look(), LOOK_MS);
  }

  /** Whether the path carries sound, as far as is known. */
  get alive() {
    return this.peer.connectionState === "connected" && !this.seen.dead;
  }

  /** Another path is looked for already. */
  calm() {
    clearTimeout(this.restarting);
  }

  /** Look for another path when neither sound nor answers to the browser's checks of the path arrive any more. */
  async look() {
    const stats = [...(await this.peer.getStats()).values()];
    if (this.closed) return;
    const now = performance.now();
    const heard = stats.find(({ type }) => type === "inbound-rtp")?.packetsReceived ?? 0;
    // Not by its state: a pair in doubt is "in-progress" again. Firefox marks the pair itself as selected.
    const chosen = stats.find(({ type }) => type === "transport")?.selectedCandidatePairId;
    const pair = stats.find(({ id, type, selected }) => type === "candidate-pair" && (chosen ? id === chosen : selected));
    const answers = pair?.responsesReceived ?? 0;
    const asked = (pair?.requestsSent ?? 0) + (pair?.consentRequestsSent ?? 0);
    const { seen } = this;
    if (heard !== seen.heard) Object.assign(seen, { heard, heardAt: now });
    if (answers !== seen.answers || !seen.asked) Object.assign(seen, { answers, asked, doubtedAt: 0 });
    else if (asked > seen.asked) seen.doubtedAt ||= now;
    const silent = heard > 0 && now - seen.heardAt > SILENT_MS;
    const dead = silent && seen.doubtedAt > 0 && now - seen.doubtedAt > DOUBT_MS;
    if (this.peer.connectionState !== "connected") return;
    const before = seen.dead;
    seen.dead = dead;
    if (!dead && before) this.state("connected");
    if (dead && !before) {
      this.state("reconnecting");
      await this.restart();
    }
  }

  changed() {
    const state = this.peer.connectionState;
    clearTimeout(this.restarting);
    if (this.closed) return;
    if (state === "connected") {
      clearTimeout(this.givingUp);
      this.givingUp = 0;
      this.state("connected");
    }
    if (state === "disconnected" || state === "failed") {
      this.state("reconnecting");
      this.givingUp ||= setTimeout(() => this.state("failed"), GIVE_UP_MS);
      this.restarting = setTimeout(() => this.restart(), state === "failed" ? 0 : RESTART_MS);
    }
  }

  close() {
    this.closed = true;
    clearTimeout(this.restarting);
    clearTimeout(this.givingUp);
    clearInterval(this.looking);
  }
}
