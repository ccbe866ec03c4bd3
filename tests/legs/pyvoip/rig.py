"""pyVoIP with a real engine; the test takes the place of the switch."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Self, TypeVar

import numpy as np

from softswitch.call.interfaces import IncomingCall, LegRequest
from softswitch.call.vocabulary.reports import Report
from softswitch.call.vocabulary.values import SipOption
from softswitch.legs.pyvoip import PyvoipEndpoints
from softswitch.legs.pyvoip.leg import PyvoipLeg
from softswitch.media import messages as m
from softswitch.media.engine.engine import Engine
from softswitch.settings import Egress, Rtp, Settings, Sip, Trunk, User
from softswitch.switch.routes import Routes
from tests.support.sound import Pcm, pcm
from tests.support.waiting import until

R = TypeVar("R", bound=Report)

_MIXES = count(1)


class Leg:
    """One leg in the hands of a test: what was reported of it, and what it says and hears."""

    def __init__(self, bench: "Bench") -> None:
        """Take a port and a mix of its own."""
        self.bench = bench
        self.port, self.mix, self.track = next(_MIXES), next(_MIXES), next(_MIXES)
        self.tap = next(_MIXES)
        self.reports: list[Report] = []
        self.endpoint: PyvoipLeg
        self.heard: list[bytes] = []
        """What the peer said, PCM16 at 8 kHz."""
        self.closed = False
        self._grown = asyncio.Event()
        bench.routes.reports(self.port, self._engine)

    def request(self, **more: object) -> LegRequest:
        """Return the request of this leg."""
        return LegRequest(call="call", leg="party", port=self.port, mix=self.mix, **more)  # type: ignore[arg-type]

    def report(self, report: Report) -> None:
        """Remember what was reported."""
        self.reports.append(report)
        self._grown.set()

    def told(self, kind: type[R]) -> list[R]:
        """Return the reports of one kind."""
        return [report for report in self.reports if isinstance(report, kind)]

    async def until(self, kind: type[R], seconds: float = 60.0, after: int = 0) -> R:
        """Return the report of one kind that comes after so many others of it."""
        try:
            async with asyncio.timeout(seconds):
                while len(self.told(kind)) <= after:
                    self._grown.clear()
                    await self._grown.wait()
        except TimeoutError:
            raise AssertionError(
                f"no {kind.__name__}: {self.reports}, {self.bench.endpoints.numbers()}"
            ) from None
        return self.told(kind)[after]

    def say(self, sound: Pcm) -> None:
        """Let the switch say something to the peer, at 8 kHz."""
        self.bench.engine.post(m.AddTrack(self.track, self.mix))
        self.bench.engine.post(m.FeedTrack(self.track, 8000, sound.astype("<i2").tobytes()))

    def listen(self) -> None:
        """Keep what the peer says."""
        self.bench.routes.frames(self.tap, self.heard.append)
        self.bench.engine.post(m.AddTap(self.tap, self.port, "inbound", 8000))

    def sound(self) -> Pcm:
        """Return what the peer said so far."""
        return pcm(b"".join(self.heard))

    def echo(self) -> None:
        """Say back to the peer what it says."""
        mirror = next(_MIXES)
        self.bench.engine.post(m.AddFeedPort(mirror, self.mix, "pcm", 24000, prebuffer_ms=20))
        self.bench.routes.frames(mirror, lambda data: self.bench.engine.feed(mirror, data))

    async def end(self) -> None:
        """Hang up and wait until everything is released."""
        self.endpoint.hangup()
        async with asyncio.timeout(5):
            await self.endpoint.closed()

    def _engine(self, report: m.Report) -> None:
        if isinstance(report, m.PortClosed):
            self.closed = True


class Bench:
    """Everything together; calls that come in are put in a row."""

    def __init__(
        self,
        *trunks: Trunk,
        sip: Sip | None = None,
        users: tuple[User, ...] = (),
        on_incoming: Callable[[IncomingCall], None] | None = None,
    ) -> None:
        """Build it; the local phone is there unless `sip` says otherwise."""
        settings = Settings(
            sip=sip or Sip(port=0, engine="pyvoip"),
            rtp=Rtp(port_min=21000, port_max=21999),
            trunk=trunks,
            user=users,
            # Telephones of tests listen at whatever port is free.
            egress=Egress(allow=("127.0.0.0/8",)),
        )
        self.engine = Engine()
        self.routes = Routes()
        self.incoming: asyncio.Queue[IncomingCall] = asyncio.Queue()
        self.endpoints = PyvoipEndpoints(
            settings, self.engine, on_incoming or self.incoming.put_nowait, self.routes.frames
        )

    async def __aenter__(self) -> Self:
        """Start engine and telephones."""
        loop = asyncio.get_running_loop()

        def emit(output: m.Output) -> None:
            loop.call_soon_threadsafe(self.routes.deliver, output)

        self.engine.start(emit)
        await self.endpoints.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop them."""
        await self.endpoints.stop()
        self.engine.stop()
        assert self.routes.failures == 0
        assert self.endpoints.numbers().get("failures", 0) == 0
        assert self.endpoints.limits.total == 0

    def call(self, callee: str, **more: object) -> Leg:
        """Place a call."""
        leg = Leg(self)
        leg.endpoint = self.endpoints(leg.request(callee=callee, **more), leg.report)
        leg.endpoint.answer()
        return leg

    async def called(self, seconds: float = 60.0) -> tuple[IncomingCall, Leg]:
        """Return the next call that comes in, with its leg."""
        async with asyncio.timeout(seconds):
            call = await self.incoming.get()
        leg = Leg(self)
        endpoint = call.party(leg.request(), leg.report)
        assert isinstance(endpoint, PyvoipLeg)
        leg.endpoint = endpoint
        return call, leg

    async def until(self, holds: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait until something is so."""
        await until(holds, seconds=seconds)


def credentials(username: str, password: str) -> SipOption:
    """Return the credentials of one call."""
    return SipOption(username=username, password=password)


def dominant(sound: Pcm, rate: int = 8000) -> float:
    """Return the loudest frequency of the loudest second."""
    if sound.size > rate:
        power = np.convolve(sound.astype(float) ** 2, np.ones(rate), "valid")[:: rate // 10]
        begin = int(np.argmax(power)) * (rate // 10)
        sound = sound[begin : begin + rate]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
    spectrum[:5] = 0
    return float(np.argmax(spectrum) * rate / sound.size)
