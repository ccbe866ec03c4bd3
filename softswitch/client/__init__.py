"""A client for applications: calls over ``/call``, ``/call/webrtc`` and ``/call/sip`` from asyncio.

::

    async with softswitch.client.connect("ws://127.0.0.1:8080/call") as call:
        await call.say("Hello, how can I help?")
        heard = await call.wait(AsrFinal, timeout_s=10)

A telephone is called with :func:`.dial`. A call that a webhook announced is taken with :func:`.take`, and
:func:`.webhook_application` is a webhook that takes every call.

The events are the structs of :mod:`softswitch.protocol.call_events`, which the switch writes. Besides that
package the client needs aiohttp and msgspec only.
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
from softswitch.client.state import State
from softswitch.client.telephones import dial, take
from softswitch.client.webhook import webhook_application
from softswitch.protocol import call_events
from softswitch.protocol.call_events import *  # noqa: F403  (a new event shall not need a line here)

__all__ = [
    "Call",
    "CallEndedError",
    "ClientError",
    "CommandFailedError",
    "ConnectionFailedError",
    "ConnectionLostError",
    "State",
    "connect",
    "dial",
    "take",
    "webhook_application",
]
__all__ += call_events.__all__
