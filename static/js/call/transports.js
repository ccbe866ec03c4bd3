/** The transports that work, in the order they are offered. A new one is a class here and nothing else. */

import { SipTransport } from "./transport-sip.js";
import { WebRtcTransport } from "./transport-webrtc.js";
import { WebSocketTransport } from "./transport-websocket.js";

export const TRANSPORTS = [WebRtcTransport, WebSocketTransport, SipTransport];

export const transportById = (id) => TRANSPORTS.find((each) => each.id === id) ?? TRANSPORTS[0];
