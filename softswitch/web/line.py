"""The client's end of one call: outlives a lost socket where the client may come back."""

import asyncio
from collections.abc import Callable
from functools import partial

from softswitch.call.needs import Endpoint, LegRequest
from softswitch.call.reports import Report
from softswitch.endpoints.websocket import WebSocketEndpoint
from softswitch.switch.conversation import Conversation
from softswitch.switch.resources import Resources
from softswitch.web.sockets import CallSocket


class Line:
    """Whatever socket the client has now, and on ``/call`` the endpoint whose audio it carries."""

    def __init__(self, resources: Resources, resume_s: float) -> None:
        """Start without a socket.

        Args:
            resources: Engine and routes.
            resume_s: How long a client may stay away before its call ends; 0: not at all.
        """
        self.socket: CallSocket | None = None
        self.conversation: Conversation | None = None
        self._resources = resources
        self._resume_s = resume_s
        self._endpoint: WebSocketEndpoint | None = None
        self._away: asyncio.TimerHandle | None = None

    def party(self, request: LegRequest, report: Callable[[Report], None]) -> Endpoint:
        """Make the endpoint of a call whose audio travels in the socket (an ``EndpointFactory``)."""
        settings = self._resources.settings
        self._endpoint = WebSocketEndpoint(
            request,
            report,
            self._resources.engine,
            self._resources.routes.frames,
            self._send_audio,
            buffer_ms=int(settings.limits.audio_buffer_s * 1000),
            prebuffer_ms=settings.media.prebuffer_ms,
        )
        return self._endpoint

    def feed(self, data: bytes) -> None:
        """Take a binary message; ignored where audio goes another way."""
        if self._endpoint is not None:
            self._endpoint.feed(data)

    def attach(self, socket: CallSocket) -> None:
        """Use this socket from now on."""
        if self._away is not None:
            self._away.cancel()
            self._away = None
        if self.socket is not None:
            self.detach(self.socket)
        self.socket = socket

    def detach(self, socket: CallSocket) -> None:
        """Stop using a socket that another one replaces."""
        if self.conversation is not None:
            self.conversation.unsubscribe(socket)
        socket.close(1000, "replaced by another connection")
        self.socket = None

    def lost(self, socket: CallSocket) -> None:
        """The socket is gone: end the call, at once or when the client does not come back."""
        if self.socket is not socket or self.conversation is None:
            return
        self.socket = None
        self.conversation.unsubscribe(socket)
        end = partial(self.conversation.end, "caller", "caller")
        if self._resume_s:
            self._away = asyncio.get_running_loop().call_later(self._resume_s, end)
        else:
            end()

    def _send_audio(self, data: bytes) -> None:
        if self.socket is not None:
            self.socket.send_audio(data)
