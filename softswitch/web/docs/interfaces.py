"""Which sockets there are, and the two documents of this switch."""

from functools import cache
from typing import Any, get_args

import msgspec

from softswitch import __version__
from softswitch.dialects.rustpbx import wire_commands, wire_events
from softswitch.dialects.wavix import responses
from softswitch.dialects.wavix import stream_messages as stream
from softswitch.web import wavix_routes
from softswitch.web.docs.asyncapi import Channel, asyncapi
from softswitch.web.docs.openapi import openapi
from softswitch.web.wavix_errors import PREFIXES


def _events() -> list[type[msgspec.Struct]]:
    """Return the events of `/call`: every struct of theirs with a name on the wire."""
    found = [kind for kind in vars(wire_events).values() if isinstance(kind, type)]
    return [kind for kind in found if issubclass(kind, wire_events.Wire) and kind.__struct_config__.tag]


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
        "call",
        "/call, /call/webrtc, /call/sip",
        "A call: commands go in, events come out; on `/call` audio travels in binary messages besides.",
        sent=_events(),
        received=get_args(wire_commands.WireCommand),
    ),
)


@cache
def rest() -> dict[str, Any]:
    """Return the OpenAPI document."""
    return openapi(wavix_routes.GROUPS, responses.Failure, __version__, prefixes=PREFIXES)


@cache
def sockets() -> dict[str, Any]:
    """Return the AsyncAPI document."""
    return asyncapi(CHANNELS, __version__)
