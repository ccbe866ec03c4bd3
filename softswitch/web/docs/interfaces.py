"""Which sockets there are, and the two documents of this switch."""

from functools import cache
from typing import Any, get_args

from softswitch import __version__
from softswitch.dialects.wavix import responses
from softswitch.protocol import call_commands as wire_commands
from softswitch.protocol import call_events as wire_events
from softswitch.protocol import room_messages as room
from softswitch.protocol import wavix_stream as stream
from softswitch.web.docs.asyncapi import Channel, asyncapi
from softswitch.web.docs.openapi import add_routes, openapi
from softswitch.web.route import Route
from softswitch.web.wavix import routes as wavix_routes
from softswitch.web.wavix.errors import PREFIXES

CHANNELS = (
    Channel(
        "stream",
        "the stream_url of a stream",
        "A stream of a call: the switch is the client and dials the URL as it stands. Audio is PCM16, little"
        " endian, mono, 24 kHz, in base64.",
        sent=get_args(stream.Outgoing),
        received=get_args(stream.Incoming),
        outgoing=True,
    ),
    Channel(
        "feed",
        "/sip",
        "Every event of the account's calls (without the sub-protocol `sip`, which speaks SIP there).",
        sent=(responses.Call,),
    ),
    Channel(
        "rooms",
        "/ws",
        "The rooms of a client.",
        sent=get_args(room.Sent),
        received=get_args(room.Received),
    ),
    Channel(
        "events",
        "/events/{id}",
        "The events of one call as server-sent events.",
        sent=tuple(wire_events.KINDS.values()),
    ),
    Channel(
        "call",
        "/call, /call/webrtc, /call/sip",
        "A call: commands go in, events come out; on `/call` audio travels in binary messages besides.",
        sent=tuple(wire_events.KINDS.values()),
        received=get_args(wire_commands.WireCommand),
    ),
)


@cache
def rest(routes: tuple[Route, ...] = ()) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        routes: All routes of the application: those without an operation of their own are described by the
            words of their handlers.
    """
    document = openapi(
        wavix_routes.GROUPS, responses.Failure, __version__, prefixes=PREFIXES, records=wavix_routes.RECORDS
    )
    add_routes(document, routes)
    return document


@cache
def sockets() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    return asyncapi(CHANNELS, __version__)
