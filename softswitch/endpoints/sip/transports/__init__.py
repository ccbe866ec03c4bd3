"""The wires of SIP: UDP, TCP, TLS and WebSocket (RFC 3261 section 18, RFC 7118)."""

from softswitch.endpoints.sip.transports.transports import Transports
from softswitch.endpoints.sip.transports.wire import Receiver, WireLimits, plain_address

__all__ = ["Receiver", "Transports", "WireLimits", "plain_address"]
