"""An engine that records messages, and aiortc as the peer."""

import asyncio
import contextlib
import fractions
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

from softswitch.call.interfaces import LegRequest
from softswitch.call.vocabulary.reports import LegAnswered, LegFailed, Report
from softswitch.legs.webrtc.endpoints import WebRtcEndpoints
from softswitch.legs.webrtc.leg import WebRtcLeg
from softswitch.media.messages import ConnectSecure, Message
from softswitch.media.rtp.secure import SrtpPair
from softswitch.settings import Ice
from tests.support.waiting import until

Kind = TypeVar("Kind")

LOOPBACK = Ice(host_addresses=("127.0.0.1",))


class FakeEngine:
    """Remembers what it is told, owns the sockets it is given, decrypts what is delivered."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.delivered: list[bytes] = []
        self.plain: list[bytes] = []
        self._srtp: SrtpPair | None = None
        self._connected: ConnectSecure | None = None
        self._reading: asyncio.Task[None] | None = None
        self.stray: Callable[[int, bytes, tuple[str, int]], None] = lambda *_: None

    def post(self, message: Message) -> None:
        self.messages.append(message)
        if isinstance(message, ConnectSecure):
            before = self._connected
            self.close()
            self._connected = message
            if before is None or before.send_key != message.send_key:
                self._srtp = SrtpPair(message.receive_key, message.send_key, message.profile)
            if message.reads:
                self._reading = asyncio.get_running_loop().create_task(self._read(message))

    async def _read(self, connected: ConnectSecure) -> None:
        """Read the socket every few milliseconds, as the tick would."""
        remote = connected.remote_host, connected.remote_port
        with socket.socket(fileno=os.dup(connected.fd)) as plain:
            while True:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        datagram, (host, port, *_) = plain.recvfrom(2048)
                        if (host, port) == remote and datagram and datagram[0] >> 6 == 2:
                            self.deliver(connected.port, datagram)
                        else:
                            self.stray(connected.port, datagram, (host, port))
                await asyncio.sleep(0.005)

    def deliver(self, port: int, datagram: bytes) -> None:
        self.delivered.append(datagram)
        if self._srtp and isinstance(plain := self._srtp.unprotect(datagram), bytes):
            self.plain.append(plain)

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [message for message in self.messages if isinstance(message, kind)]

    def send(self, packet: bytes) -> None:
        """Send a packet as the tick would."""
        connected = self._connected
        assert connected is not None
        with socket.socket(fileno=os.dup(connected.fd)) as plain:
            plain.sendto(self.protected(packet), (connected.remote_host, connected.remote_port))

    def protected(self, packet: bytes) -> bytes:
        assert self._srtp is not None
        return self._srtp.protect(packet)

    def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if self._connected is not None and self._connected.fd >= 0:
            os.close(self._connected.fd)
        self._connected = None


class ToneTrack(MediaStreamTrack):
    """A sine, in real time."""

    kind = "audio"

    def __init__(self, frequency: float = 440.0, rate: int = 48000) -> None:
        super().__init__()
        self._frequency = frequency
        self._rate = rate
        self._sent = 0
        self._began = 0.0

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        samples = self._rate // 50
        self._began = self._began or loop.time()
        self._sent += samples
        await asyncio.sleep(max(0.0, self._began + self._sent / self._rate - loop.time()))
        angle = 2 * np.pi * self._frequency / self._rate * np.arange(self._sent - samples, self._sent)
        frame = AudioFrame.from_ndarray((8000 * np.sin(angle)).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = self._rate
        frame.pts = self._sent - samples
        frame.time_base = fractions.Fraction(1, self._rate)
        return frame


class Far:
    """A WebRTC client: aiortc, on loopback alone."""

    def __init__(self, *, track: MediaStreamTrack | None = None) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.received: list[AudioFrame] = []
        self._reader: asyncio.Task[None] | None = None
        self.pc.on("track", self._read)
        self.pc.addTrack(track or ToneTrack())

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return str(self.pc.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        await self.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    @property
    def state(self) -> str:
        return str(self.pc.connectionState)

    def _read(self, track: MediaStreamTrack) -> None:
        async def read() -> None:
            with contextlib.suppress(MediaStreamError):
                while True:
                    self.received.append(await track.recv())  # type: ignore[arg-type]

        self._reader = asyncio.get_running_loop().create_task(read())

    async def close(self) -> None:
        if self._reader:
            self._reader.cancel()
            await asyncio.wait([self._reader])
            self._reader = None
        await self.pc.close()


class Bench:
    """A factory of legs, their reports, and the engine behind them."""

    def __init__(self, ice: Ice = LOOPBACK, **options: Any) -> None:
        self.engine = FakeEngine()
        self.endpoints = WebRtcEndpoints(self.engine, ice, **options)
        self.engine.stray = self.endpoints.stray
        self.reports: list[Report] = []
        self.legs: list[WebRtcLeg] = []
        self._fars: list[Far] = []

    def far(self, *, track: MediaStreamTrack | None = None) -> Far:
        """Return a peer that is closed with this bench, whatever becomes of the test."""
        far = Far(track=track)
        self._fars.append(far)
        return far

    def leg(
        self, offer: str, *, codec: str = "", port: int = 1, trickle: bool = False, may_return: bool = False
    ) -> WebRtcLeg:
        request = LegRequest(
            call="c",
            leg="a",
            port=port,
            mix=100,
            offer=offer,
            codec=codec,
            trickle=trickle,
            may_return=may_return,
        )
        leg = self.endpoints(request, self._take)
        self.legs.append(leg)
        return leg

    async def answered(
        self, offer: str, *, codec: str = "", port: int = 1, may_return: bool = False
    ) -> tuple[WebRtcLeg, LegAnswered]:
        leg = self.leg(offer, codec=codec, port=port, may_return=may_return)
        count = len(self.of(LegAnswered))
        leg.answer()
        return leg, await self.report(LegAnswered, count + 1)

    async def report(self, kind: type[Kind], count: int = 1) -> Kind:
        """Wait for the `count`-th report of a kind."""
        await until(
            lambda: sum(isinstance(item, kind) for item in self.reports) >= count or self._failed(kind)
        )
        return [item for item in self.reports if isinstance(item, kind)][count - 1]

    async def heard(self, count: int) -> None:
        """Wait until more than `count` packets of the peer were decrypted."""
        await until(lambda: len(self.engine.plain) > count)

    def of(self, kind: type[Kind]) -> list[Kind]:
        return [item for item in self.reports if isinstance(item, kind)]

    def _failed(self, kind: type[Any]) -> bool:
        return kind is not LegFailed and any(isinstance(item, LegFailed) for item in self.reports)

    def _take(self, report: Report) -> None:
        self.reports.append(report)

    async def close(self) -> None:
        for leg in self.legs:
            leg.hangup()
        for leg in self.legs:
            await leg.closed()
        for far in self._fars:
            await far.close()
        await self.endpoints.released()
        self.engine.close()


@asynccontextmanager
async def bench(ice: Ice = LOOPBACK, **options: Any) -> AsyncIterator[Bench]:
    place = Bench(ice, **options)
    try:
        yield place
    finally:
        await place.close()
