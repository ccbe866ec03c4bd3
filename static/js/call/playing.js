/** What of the switch's playback is sounding or held, told by its events and our own commands. Pure bookkeeping. */

export class Playing {
  constructor() {
    this.plays = new Set();
    this.paused = false;
  }

  get active() {
    return this.plays.size > 0;
  }

  /** Note a command that was sent. */
  sent({ command }) {
    if (command === "pause") this.paused = this.active;
    if (command === "resume") this.paused = false;
  }

  /** Note an event. A track without a playId is the call itself, not a playback. */
  heard({ event, playId }) {
    if (!playId) return;
    if (event === "trackStart") this.plays.add(playId);
    if (event === "trackEnd" || event === "interruption") this.plays.delete(playId);
    if (!this.active) this.paused = false;
  }
}
