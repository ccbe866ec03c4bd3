"""The client's end of one call: it outlives a lost socket where the client may come back."""

import asyncio
from collections.abc import Callable, MutableMapping
from functools import partial

from aiohttp import web

from softswitch.call.interfaces import Endpoint, LegRequest
from softswitch.call.vocabulary.reports import Report
from softswitch.legs.websocket.leg import WebSocketEndpoint
from softswitch.switch.directory import CallHandle, Subscription
from softswitch.switch.resources import Resources
from softswitch.web.call.delivery import Delivery, sent
from softswitch.web.call.sockets import CallSocket

FRAME_S = 0.02
"""Length of one audio message, in seconds."""


class Line:
    """The socket that the client has now, and on ``/call`` the endpoint whose audio it carries."""

    def __init__(self, resources: Resources, resume_s: float, *, carries_audio: bool = False) -> None:
        """Start without a socket.

        Args:
            resources: Engine and routes.
            resume_s: How long a client may stay away before its call ends, in seconds; 0: not at all.
            carries_audio: Whether the socket carries the audio of the call.
        """
        self._carries_audio = carries_audio
        self.socket: CallSocket | None = None
        self.call: CallHandle | None = None
        self._subscription: Subscription | None = None
        self._resources = resources
        self._resume_s = resume_s
        self._endpoint: WebSocketEndpoint | None = None
        self._away: asyncio.TimerHandle | None = None
        self._delivery: Delivery | None = None
        """Watch over the present socket, where the client may come back and the socket carries audio."""
        self._lost = resources.metrics.audio_dropped_seconds.labels("socket", "away")

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
            on_open=self.share,
            on_close=self._unshare,
        )
        return self._endpoint

    def feed(self, data: bytes) -> None:
        """Play a binary message to the call; ignored where audio goes another way."""
        if self._endpoint is not None:
            self._endpoint.feed(data)

    def share(self) -> None:
        """Leave the audio of the present socket to the tick, once there is a port for it."""
        port = self._endpoint.port if self._endpoint is not None else 0
        if self.socket is None or not port:
            return
        queue = self._resources.engine.feed_socket(port)
        if queue is not None:
            self._resources.routes.roused(port, self._look)
            self.socket.share(queue)

    def _unshare(self) -> None:
        if self.socket is not None:
            self.socket.unshare()

    def _look(self) -> None:
        if self.socket is not None:
            self.socket.look()

    def attach(self, socket: CallSocket) -> None:
        """Use this socket from now on; close the one it replaces."""
        if self._away is not None:
            self._away.cancel()
            self._away = None
        if self.socket is not None:
            self._parted()
            self.socket.unshare()
            self.socket.close(1000, "replaced by another connection")
        self.socket = socket
        if self._resume_s and self._carries_audio:
            self._delivery = Delivery(partial(sent, socket.transport), self._stalled)
            self._delivery.start()

    async def back(self) -> int:
        """Tell the call that its client has come back; return how much it did not hear, in milliseconds."""
        return await self.call.client_back() if self.call is not None else 0

    async def subscribe(self, since: int | None = None) -> None:
        """Send the socket the events of the call from now on, and first those after ``since``."""
        if self.call is not None and self.socket is not None:
            self._subscription = await self.call.subscribe(self.socket, since)

    def lost(self, socket: CallSocket) -> None:
        """End the call of a socket that is gone, at once or when the client does not come back in time."""
        if self.socket is not socket or self.call is None:
            return
        self.socket = None
        self._parted()
        end = partial(self.call.end, "caller", "caller")
        if self._resume_s:
            self._away = asyncio.get_running_loop().call_later(self._resume_s, end)
        else:
            end()

    def _parted(self) -> None:
        """Note that the present socket is of no use any more, and until when it was."""
        quiet_s = 0.0
        if self._delivery is not None:
            self._delivery.stop()
            now = asyncio.get_running_loop().time()
            quiet_s = now - self._delivery.arrived_until(now)
            self._delivery = None
        if self._resume_s and self.call is not None:
            self.call.client_away(quiet_s)
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def _stalled(self, stalled: bool) -> None:
        if self.call is not None:
            self.call.client_stalled(stalled)

    def _send_audio(self, data: bytes) -> None:
        if self.socket is not None:
            self.socket.send_audio(data)
        elif self._resume_s:
            self._lost.inc(FRAME_S)


Lines = MutableMapping[str, Line]
"""The lines of live calls, by session id."""
LINES: web.AppKey[Lines] = web.AppKey("lines", dict)
