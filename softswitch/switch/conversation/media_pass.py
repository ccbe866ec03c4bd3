"""Client of the raw PCM WebSocket of ``mediaPass``."""

import asyncio
import logging
from collections.abc import Callable

from softswitch.call.vocabulary import reports
from softswitch.call.vocabulary.commands import MediaPassOption
from softswitch.egress.errors import EgressError
from softswitch.egress.names import SWITCH, Asker
from softswitch.egress.websocket import Socket, connect
from softswitch.media import messages as m
from softswitch.switch.resources import Resources

logger = logging.getLogger(__name__)

QUEUE = 100
"""Packets that may wait for a slow service; the oldest are dropped and counted beyond that."""


class MediaPass:
    """Connection of a leg with a WebSocket service: the leg's audio out, the service's audio into its mix."""

    def __init__(
        self,
        port: int,
        mix: int,
        resources: Resources,
        report: Callable[[reports.Report], None],
        asker: Asker = SWITCH,
    ) -> None:
        """Prepare; :meth:`run` connects.

        Args:
            port: The leg's port in the engine.
            mix: The mix of its call.
            resources: Engine, routes and egress client.
            report: Takes reports to the call.
            asker: The call, to which look-ups of names are attributed.
        """
        self._asker = asker
        self._port = port
        self._mix = mix
        self._resources = resources
        self._report = report
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE)
        self.dropped = 0

    async def run(self, option: MediaPassOption) -> None:
        """Pass audio both ways until the service closes or the task is cancelled; the call survives both."""
        try:
            socket = await connect(self._resources.egress, option.url, asker=self._asker)
        except EgressError as error:
            self._report(reports.Refused("mediaPass", str(error), error.code))
            return
        tap, port = next(self._resources.ids), next(self._resources.ids)
        engine, routes = self._resources.engine, self._resources.routes
        routes.frames(tap, self._frame)
        engine.post(
            m.AddFeedPort(
                port,
                self._mix,
                sample_rate=option.output_sample_rate,
                listens=False,
                buffer_ms=60_000,
                live=option.live,
            )
        )
        engine.post(m.AddTap(tap, self._port, "inbound", option.input_sample_rate, option.packet_bytes))
        try:
            async with socket, asyncio.TaskGroup() as group:
                sender = group.create_task(self._send(socket))
                await self._receive(socket, port)
                sender.cancel()
            self._report(reports.Refused("mediaPass", "the service closed the connection", 499))
        except* EgressError as errors:
            self._report(reports.Refused("mediaPass", str(errors.exceptions[0]), 502))
        finally:
            engine.post(m.RemoveTap(tap))
            engine.post(m.RemovePort(port))
            routes.remove(tap)

    def _frame(self, frame: bytes) -> None:
        if self._queue.full():
            self._queue.get_nowait()
            self.dropped += 1
            self._resources.metrics.audio_dropped_seconds.labels("media_pass", "slow_reader").inc(0.02)
        self._queue.put_nowait(frame)

    async def _send(self, socket: Socket) -> None:
        while True:
            await socket.send(await self._queue.get())

    async def _receive(self, socket: Socket, port: int) -> None:
        while (message := await socket.receive()) is not None:
            if isinstance(message, bytes):
                self._resources.engine.feed(port, message)
