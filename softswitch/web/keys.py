"""What handlers find in the application, typed."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from aiohttp import web

from softswitch.call.needs import EndpointFactory
from softswitch.settings import Settings
from softswitch.switch.rooms import Rooms
from softswitch.switch.switch import Switch
from softswitch.switch.webhooks import Webhooks
from softswitch.web.auth import Gate, Handler
from softswitch.web.readiness import Readiness
from softswitch.web.session import Lines

Receive = Callable[[], Awaitable[str | bytes | None]]
"""Wait for the next message of a WebSocket; None once it is closed."""
Send = Callable[[bytes], Awaitable[None]]


class SipSide(Protocol):
    """What speaks SIP, as far as the web shows and feeds it."""

    async def serve_websocket(
        self, receive: Receive, send: Send, peer: tuple[str, int], *, secure: bool = False
    ) -> None:
        """Serve a browser phone (RFC 7118) until its WebSocket closes; ``secure``: it came over TLS."""

    async def drain(self) -> None:
        """Take no new calls and sign off at the trunks."""

    def trunks(self) -> Sequence[object]:
        """Return the state of each trunk."""

    def users(self) -> Sequence[object]:
        """Return the registrations of each user."""


SETTINGS = web.AppKey("settings", Settings)
SWITCH = web.AppKey("switch", Switch)
ROOMS = web.AppKey("rooms", Rooms)
GATE = web.AppKey("gate", Gate)
LINES: web.AppKey[Lines] = web.AppKey("lines", dict)
WEBRTC: web.AppKey[EndpointFactory] = web.AppKey("webrtc", object)  # type: ignore[arg-type]
WEBHOOKS = web.AppKey("webhooks", Webhooks)
FEED: web.AppKey[Handler] = web.AppKey("feed", object)  # type: ignore[arg-type]
"""Serves ``/sip`` to those who do not speak SIP there."""
READINESS = web.AppKey("readiness", Readiness)
DRAIN: web.AppKey[Callable[[], None]] = web.AppKey("drain", object)  # type: ignore[arg-type]
SIP: web.AppKey[SipSide | None] = web.AppKey("sip", object)  # type: ignore[arg-type]
"""None, or not there, where SIP is switched off."""
