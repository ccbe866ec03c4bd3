/** The ways to talk that work, in the order they are offered. A new one is a class here and nothing else. */

import { SipWay } from "./way-sip.js";
import { WebRtcWay } from "./way-webrtc.js";
import { WebSocketWay } from "./way-websocket.js";

export const WAYS = [WebRtcWay, WebSocketWay, SipWay];

export const wayById = (id) => WAYS.find((way) => way.id === id) ?? WAYS[0];
