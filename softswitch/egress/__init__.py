"""All outgoing HTTP and WebSocket connections of the switch, and the resolution of host names."""

from softswitch.egress.errors import EgressError, EgressFailed, EgressRefused
from softswitch.egress.http import EgressClient, Fetched
from softswitch.egress.names import SWITCH, Asker, Names
from softswitch.egress.pool import EgressPool
from softswitch.egress.websocket import Socket, connect

__all__ = [
    "SWITCH",
    "Asker",
    "EgressClient",
    "EgressError",
    "EgressFailed",
    "EgressPool",
    "EgressRefused",
    "Fetched",
    "Names",
    "Socket",
    "connect",
]
