"""A client for applications: calls over ``/call``, ``/call/webrtc`` and ``/call/sip`` from asyncio.

::

    async with softswitch.client.connect("ws://127.0.0.1:8080/call") as call:
        await call.say("Hello, how can I help?")
        heard = await call.wait(AsrFinal, timeout_s=10)

A telephone is called with :func:`.dial`; a call that a webhook told of is taken with :func:`.take`.

It needs nothing of the switch but this package, aiohttp and msgspec.
"""

from softswitch.client.call import Call
from softswitch.client.connect import connect
from softswitch.client.errors import (
    CallEndedError,
    ClientError,
    CommandFailedError,
    ConnectionFailedError,
    ConnectionLostError,
)
from softswitch.client.events import (
    Ack,
    AddHistory,
    Answer,
    AsrDelta,
    AsrFinal,
    AudioFormat,
    Collect,
    Custom,
    Dtmf,
    Eou,
    Error,
    Event,
    Hangup,
    Hold,
    Incoming,
    Interruption,
    Mark,
    Media,
    Message,
    Metrics,
    Mute,
    Reject,
    Resumed,
    Ringing,
    Silence,
    Speaking,
    Stream,
    TrackEnd,
    TrackStart,
    TransferRequest,
    Unknown,
)
from softswitch.client.state import State
from softswitch.client.telephones import dial, take

__all__ = [
    "Ack",
    "AddHistory",
    "Answer",
    "AsrDelta",
    "AsrFinal",
    "AudioFormat",
    "Call",
    "CallEndedError",
    "ClientError",
    "Collect",
    "CommandFailedError",
    "ConnectionFailedError",
    "ConnectionLostError",
    "Custom",
    "Dtmf",
    "Eou",
    "Error",
    "Event",
    "Hangup",
    "Hold",
    "Incoming",
    "Interruption",
    "Mark",
    "Media",
    "Message",
    "Metrics",
    "Mute",
    "Reject",
    "Resumed",
    "Ringing",
    "Silence",
    "Speaking",
    "State",
    "Stream",
    "TrackEnd",
    "TrackStart",
    "TransferRequest",
    "Unknown",
    "connect",
    "dial",
    "take",
]
