"""Keys of the aiohttp application, under which handlers find the parts of the switch."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from aiohttp import web

from softswitch.call.interfaces import EndpointFactory
from softswitch.cluster.cluster import Cluster
from softswitch.settings import Settings
from softswitch.switch.administration.administration import Administration
from softswitch.switch.directory import CallDirectory
from softswitch.switch.notify.webhooks import Webhooks
from softswitch.switch.queues.queues import Queues
from softswitch.switch.resources import Resources
from softswitch.switch.rooms.directory import RoomDirectory
from softswitch.switch.transcripts.transcripts import Transcripts
from softswitch.switch.voicemail.voicemail import Voicemail
from softswitch.web.auth import Authenticator, Handler
from softswitch.web.proxy_protocol import Proxied
from softswitch.web.readiness import Readiness
from softswitch.web.route import Route

Receive = Callable[[], Awaitable[str | bytes | None]]
"""Wait for the next message of a WebSocket; None once it is closed."""
Send = Callable[[bytes], Awaitable[None]]


class SupervisorSide(Protocol):
    """The supervisor of the workers of this host, as far as the web uses it."""

    def restart_all(self) -> None:
        """Replace all workers, one after the other."""

    async def supervisor_figures(self) -> bytes:
        """Return the numbers of the supervisor as JSON; raises BusError."""


class SipSide(Protocol):
    """The SIP side, as far as the web uses it."""

    async def serve_websocket(
        self, receive: Receive, send: Send, peer: tuple[str, int], *, secure: bool = False
    ) -> None:
        """Serve a browser phone (RFC 7118) until its WebSocket closes; ``secure``: it came over TLS."""

    async def drain(self) -> None:
        """Refuse new calls and unregister from the trunks."""

    def trunks(self) -> Sequence[object]:
        """Return the state of each trunk."""

    def users(self) -> Sequence[object]:
        """Return the registrations of each user."""


CLUSTER: web.AppKey[Cluster | None] = web.AppKey("cluster", object)  # type: ignore[arg-type]
"""Other processes of the switch; None where this one is alone."""
SUPERVISOR: web.AppKey[SupervisorSide | None] = web.AppKey("supervisor", object)  # type: ignore[arg-type]
"""The supervisor of this worker; None where this process is alone."""
QUEUES = web.AppKey("queues", Queues)
VOICEMAIL = web.AppKey("voicemail", Voicemail)
SETTINGS = web.AppKey("settings", Settings)
CALLS = web.AppKey("calls", CallDirectory)
ADMINISTRATION = web.AppKey("administration", Administration)
RESOURCES = web.AppKey("resources", Resources)
ROOMS = web.AppKey("rooms", RoomDirectory)
PROXIED: web.AppKey[Proxied | None] = web.AppKey("proxied", object)  # type: ignore[arg-type]
"""What headers of the PROXY protocol told; None where they are off."""
GATE = web.AppKey("authenticator", Authenticator)
WEBRTC: web.AppKey[EndpointFactory] = web.AppKey("webrtc", object)  # type: ignore[arg-type]
WARM: web.AppKey[Callable[[], None]] = web.AppKey("warm", object)  # type: ignore[arg-type]
"""Imports the libraries of WebRTC in the background: a client that needs them has come."""
WEBHOOKS = web.AppKey("webhooks", Webhooks)
TRANSCRIPTS = web.AppKey("transcripts", Transcripts)
FEED: web.AppKey[Handler] = web.AppKey("feed", object)  # type: ignore[arg-type]
"""Serves the event feed on ``/sip`` to clients without the sub-protocol of SIP."""
READINESS = web.AppKey("readiness", Readiness)
RETIRING = web.AppKey("retiring", asyncio.Event)
"""Set when another worker takes the place of this one, which ends with its last call."""
DRAIN: web.AppKey[Callable[[], None]] = web.AppKey("drain", object)  # type: ignore[arg-type]
SIP: web.AppKey[SipSide | None] = web.AppKey("sip", object)  # type: ignore[arg-type]
"""None, or not there, where SIP is switched off."""
DESCRIBED: web.AppKey[tuple[Route, ...]] = web.AppKey("described", tuple)
"""All routes, for the description of the interface."""
