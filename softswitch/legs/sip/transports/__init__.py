"""SIP transports: UDP, TCP, TLS and WebSocket (RFC 3261 section 18, RFC 7118)."""

from softswitch.legs.sip.transports.transports import Transports
from softswitch.legs.sip.transports.wire import Receiver, TransportLimits, plain_address

__all__ = ["Receiver", "TransportLimits", "Transports", "plain_address"]
