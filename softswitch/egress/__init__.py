"""The one door outwards: whatever this switch dials by HTTP or WebSocket goes through here."""

from softswitch.egress.errors import EgressError, EgressFailed, EgressRefused
from softswitch.egress.http import Door, Fetched
from softswitch.egress.websocket import Socket, connect

__all__ = ["Door", "EgressError", "EgressFailed", "EgressRefused", "Fetched", "Socket", "connect"]
