/** The telephone: the switch itself rings the callee and talks; this page reads along and says what to say. */

export class SipTransport {
  static id = "sip";
  static label = "Telephone";
  static path = "call/sip";
  static hint = "The switch rings the callee's telephone and talks with it; you read along";
  /** There is nothing to hear or say here: no microphone is asked for. */
  static silent = true;
  static codecs = [
    { value: "", label: "As the telephone prefers" },
    { value: "opus", label: "Opus" },
    { value: "g722", label: "G.722" },
    { value: "pcmu", label: "PCMU (G.711 µ-law)" },
    { value: "pcma", label: "PCMA (G.711 A-law)" },
  ];

  constructor({ send }) {
    this.send = send;
    this.ready = Promise.resolve();
    this.canHold = false;
    this.up = false;
  }

  async option({ codec }) {
    return codec ? { codec } : {};
  }

  inviteSent() {
    // The switch does everything that follows.
  }

  async rejoin() {
    this.up = true;
  }

  async answered() {
    this.up = true;
  }

  audio() {
    // The sound goes between the switch and the telephone.
  }

  interrupted() {
    // Nothing of it is held here.
  }

  async refused() {
    // There are no offers here.
  }

  async microphoneChanged() {
    // No microphone is used here.
  }

  /** The switch presses the keys towards the telephone. */
  dtmf(digits) {
    if (this.up) this.send({ command: "dtmf", digits });
    return this.up;
  }

  async report() {
    return [{ kind: "sip" }];
  }

  close() {
    this.up = false;
  }
}
