"""Answers to the pings of a page: browsers can neither send nor see the pings of WebSockets.

A page pings to learn that its socket is half open, which nothing else says after a change of network. Pings
are not commands of the call: they are neither recorded nor numbered. The session of a client's
socket uses this module.
"""

import time

import msgspec

MAX_PING = 300
"""Longest text of a ping, in characters."""


class Ping(msgspec.Struct, tag="ping", tag_field="command", rename="camel"):
    """The command ``ping``."""

    request_id: str = ""


class Pong(msgspec.Struct, tag="pong", tag_field="event", rename="camel", omit_defaults=True):
    """The answer ``pong``."""

    timestamp: int
    """Unix milliseconds."""
    request_id: str = ""


def pong(text: str) -> str:
    """Return the answer to a ping, "" if the text is another command."""
    if len(text) > MAX_PING or '"ping"' not in text:
        return ""
    try:
        ping = msgspec.json.decode(text, type=Ping)
    except (msgspec.DecodeError, UnicodeError):
        return ""
    return msgspec.json.encode(Pong(int(time.time() * 1000), ping.request_id)).decode()
