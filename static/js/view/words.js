/** Words of the wire as people say them. */

import { t } from "../text.js";

/** The reasons of an end that the switch itself gives; clients may give any other. */
const REASONS = {
  caller: "the caller hung up",
  callee: "the callee hung up",
  user_requested: "hung up",
  autohangup: "hung up by the switch",
  killed: "ended by the operator",
  rejected: "refused",
  busy: "busy",
  no_answer: "no answer",
  media_timeout: "no sound arrived",
  inactivity: "nothing happened",
  max_duration: "too long",
  server_shutdown: "the switch ended",
  error: "error",
  token_expired: "the token expired",
  unknown: "unknown",
};

const TRUNK_STATES = {
  registered: "Registered",
  registering: "Registering",
  failed: "Failed",
  unregistered: "Signed off",
  ready: "Ready",
  unresolved: "Not found",
};

/** The state of a trunk. */
export const sayTrunk = (state) => t(TRUNK_STATES[state] ?? state);

/** The reason of an end; one of a client's own is shown without the underscores of its wire form. */
export const sayEnd = (reason) => (reason ? t(REASONS[reason] ?? reason.replaceAll("_", " ")) : "");
